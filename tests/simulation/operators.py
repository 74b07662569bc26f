"""The operators: one leads, one stands by, and each is started again when it is gone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Final

from tests.simulation.cluster import Cluster
from tests.simulation.doors import KubeDoor, PodsDoor, PoolsDoor, RoomsDoor
from tests.simulation.feed import Feed
from tests.simulation.nodes import is_cordoned
from tests.simulation.process import Process
from tests.simulation.scene import NAMESPACE, Scene, clock
from tests.support.operator_parts import OperatorParts
from voicepod.handlers.intake import Intake
from voicepod.handlers.listing import Listing
from voicepod.kube.client import NODES, PODS, VOICE_AGENTS, VOICE_SESSIONS, Kube
from voicepod.kube.events import Events, Note, Regarding
from voicepod.kube.lease import Candidate, Election
from voicepod.kube.lists import Lists, insist

# In seconds, until the next one runs.
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


class Operator:
    """One replica of the operator's Deployment."""

    def __init__(self, scene: Scene, cluster: Cluster, number: int, alone: bool) -> None:
        """``alone``: no other one is there, and so it asks nobody who leads."""
        self.name = f"operator-{number}"
        self._scene, self._cluster, self._alone = scene, cluster, alone
        self._processes: list[Process] = []
        self._intake: Intake | None = None
        self._election: Election | None = None

    async def run(self) -> None:
        """Keep one running. Raises what one fails with."""
        scene = self._scene
        chance = scene.chance(f"{self.name}'s")
        for generation in count(1):
            name = f"{self.name}.{generation}"
            # All are kept: what a dead one awaits for ever must not be forgotten, and so woken.
            process = Process(
                name, scene.chance(name), scene.trace, lambda: scene.weather.operator_killed
            )
            self._processes.append(process)
            await process.run(self._main(process))
            await asyncio.sleep(chance.between(*_RESTART))

    async def _main(self, process: Process) -> None:
        """What ``operator.run`` does."""
        scene, kube = self._scene, KubeDoor(process, self._scene)
        rooms = partial(RoomsDoor.of, process, scene)
        pods, events = PodsDoor(process, scene, self._cluster), TracedEvents(process, kube)
        pools_kube = PoolsDoor(process, scene)
        parts = OperatorParts(kube, pods, rooms, events, clock, pools_kube=pools_kube)
        # Its name is that of its pod, and stays when its container is started again.
        candidate = Candidate(self.name, self.name)
        election = Election(kube, (NAMESPACE, "operator"), candidate, clock, process.kill)
        self._intake, self._election = parts.intake, election
        listing = partial(Listing, parts.intake, kube, [])
        first = listing()
        lists = Lists(first.first, lambda pause: listing(pause).everything(), listing().few)

        async def lead() -> None:
            async with asyncio.TaskGroup() as group:
                standing_by = group.create_task(parts.loop.stand_by())
                async with _term_of_one(election) if self._alone else election.term():
                    standing_by.cancel()
                    process.trace.say(process.name, "leads")
                    await lists.since(asyncio.get_running_loop().time())
                    parts.intake.take_over()
                    group.create_task(insist(first.rest))
                    await parts.loop.run()

        async with asyncio.TaskGroup() as group:
            group.create_task(lead())
            await election.asked.wait()
            await lists.once()
            Feed(process, scene, VOICE_AGENTS, parts.intake.agent)
            Feed(process, scene, VOICE_SESSIONS, parts.intake.session, lists.missed)
            Feed(process, scene, PODS, parts.intake.pod, lists.missed)
            Feed(process, scene, NODES, parts.intake.node, selects=is_cordoned)
            group.create_task(lists.again())

    def leader(self) -> str:
        """Return the name of the one that leads, as far as this one knows. Raises OSError."""
        if self._election is None or not self._processes[-1].alive:
            raise ConnectionRefusedError(f"nobody listens at {self.name}")
        return self.name if self._election.leads else self._election.leader_url

    def hint(self, body: dict[str, str]) -> bool:
        """Take a hint; returns whether it concerns anything."""
        assert self._intake
        (kind,) = body.keys() & {"pod", "session"}
        key = body["namespace"], body[kind]
        taken = self._intake.hint(key) if kind == "pod" else self._intake.room_hint(key)
        self._scene.trace.say("hint", f"{kind} {body[kind]}", "→ taken" if taken else "→ not taken")
        return taken


@asynccontextmanager
async def _term_of_one(election: Election) -> AsyncIterator[None]:
    election.leads = True
    election.asked.set()
    yield


class Operators:
    """The operator's Service: one of its replicas, which may send a hint on to the leader."""

    def __init__(self, scene: Scene, replicas: list[Operator]) -> None:
        self._replicas = {one.name: one for one in replicas}
        self._chance = scene.chance("operators")
        scene.hint = self._hint

    def _hint(self, body: dict[str, str]) -> bool:
        asked = self._chance.one_of(list(self._replicas.values()))
        leader = self._replicas.get(asked.leader())
        if leader is None or leader.leader() != leader.name:
            return False
        return leader.hint(body)
