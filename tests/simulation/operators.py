"""The operator: one that runs, whatever happens to it, and then another one."""

import asyncio
from functools import partial
from itertools import count
from typing import Final

from tests.simulation.cluster import Cluster
from tests.simulation.doors import KubeDoor, PodsDoor, RoomsDoor
from tests.simulation.feed import Feed
from tests.simulation.process import Process
from tests.simulation.scene import Scene, clock
from tests.support.operator_parts import OperatorParts
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS, Kube
from voicepod.kube.events import Events, Note, Regarding
from voicepod.process import fill_again, fill_first

# In seconds, until the next one runs: what is under way from the one before has arrived by then.
_RESTART: Final = (1.0, 15.0)


class TracedEvents(Events):
    """Puts into the trace what would be posted."""

    def __init__(self, process: Process, kube: Kube) -> None:
        super().__init__(kube, process.name, clock)
        self._process = process

    def post(self, about: Regarding, note: Note) -> None:
        self._process.trace.say(
            self._process.name, "tells of", about.name, f"{note.reason}: {note.message}"
        )


class Operators:
    """The operator's Deployment."""

    def __init__(self, scene: Scene, cluster: Cluster) -> None:
        self._scene, self._cluster = scene, cluster
        self.current: Process | None = None
        self.parts: OperatorParts | None = None
        """Of the one that runs."""
        scene.hint = self._hint

    async def run(self) -> None:
        """Keep one running. Raises what one fails with."""
        chance = self._scene.chance("operators")
        for number in count(1):
            name = f"operator-{number}"
            process = Process(
                name,
                self._scene.chance(name),
                self._scene.trace,
                lambda: self._scene.weather.operator_killed,
            )
            self.current = process
            await process.run(self._main(process))
            self.parts = None
            await asyncio.sleep(chance.between(*_RESTART))

    async def _main(self, process: Process) -> None:
        """What ``operator.run`` does."""
        scene, kube = self._scene, KubeDoor(process, self._scene)
        rooms = partial(RoomsDoor.of, process, scene)
        pods, events = PodsDoor(process, scene, self._cluster), TracedEvents(process, kube)
        parts = self.parts = OperatorParts(kube, pods, rooms, events, clock)
        fill = partial(parts.intake.fill, kube, [])
        await fill_first(fill)
        Feed(process, scene, VOICE_AGENTS, parts.intake.agent)
        Feed(process, scene, VOICE_SESSIONS, parts.intake.session)
        Feed(process, scene, PODS, parts.intake.pod)
        process.trace.say(process.name, "is ready")
        async with asyncio.TaskGroup() as group:
            group.create_task(parts.loop.run())
            group.create_task(fill_again(fill))

    def _hint(self, body: dict[str, str]) -> bool:
        if self.parts is None or self.current is None or not self.current.alive:
            raise ConnectionRefusedError("there is no operator")
        (kind,) = body.keys() & {"pod", "session"}
        key = body["namespace"], body[kind]
        intake = self.parts.intake
        taken = intake.hint(key) if kind == "pod" else intake.room_hint(key)
        self._scene.trace.say("hint", f"{kind} {body[kind]}", "→ taken" if taken else "→ not taken")
        return taken
