"""The user's agent in a pod: an SDK's worker that takes one job, joins, talks and leaves."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

import jwt
from livekit.protocol import agent

from tests.simulation.chance import Chance
from tests.simulation.livekit import Participant
from tests.simulation.scene import Scene
from tests.simulation.weather import CALM, Weather
from voicepod.assignment.messages import Speech
from voicepod.sidecar.health import Beat
from voicepod.sidecar.supervisor import Supervisor
from voicepod.sidecar.worker import Worker

# In seconds, from its token until it is in the room: one that is late comes when it has been given
# up, or nearly so.
_SOON: Final = (0.05, 1.5)
_LATE: Final = (10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Temper:
    """What an agent is like. Its faults are gone when the weather is calm."""

    refuses: bool
    never_joins: bool
    joins_late: bool
    deaf: bool
    """It does not end its job when it is told to."""
    closes_room: bool
    leaves_with_caller: bool
    reports: bool
    """LiveKit's SDK for Python tells how its job is doing; that for Node does not."""
    crashes_after: float | None
    """Seconds from its join."""
    hangs_after: float | None
    """Seconds from its join; such an agent has the runtime, whose beats end then."""

    @classmethod
    def drawn(cls, chance: Chance, weather: Weather) -> "Temper":
        """Return the temper of one agent."""
        return cls(
            refuses=chance.happens(weather.agent_refuses),
            never_joins=chance.happens(weather.agent_never_joins),
            joins_late=chance.happens(weather.agent_joins_late),
            deaf=chance.happens(weather.agent_deaf),
            closes_room=chance.happens(weather.agent_closes_room),
            leaves_with_caller=chance.happens(0.5),
            reports=chance.happens(0.8),
            crashes_after=_moment(chance, weather.agent_crashes),
            hangs_after=_moment(chance, weather.agent_hangs),
        )


def _moment(chance: Chance, probability: float) -> float | None:
    return chance.between(0, 10) if chance.happens(probability) else None


class Agent:
    """One agent, connected to the sidecar of its pod."""

    def __init__(
        self,
        supervisor: Supervisor,
        scene: Scene,
        temper: Temper,
        chance: Chance,
        crash: Callable[[], None],
    ) -> None:
        """``crash`` is called when its process dies by itself."""
        self._supervisor = supervisor
        self._scene = scene
        self._temper = temper
        self._chance = chance
        self._crash = crash
        self._alive = True
        self._hung = False
        self._worker: Worker | None = None
        self._job = ""
        self._in_room: Participant | None = None
        self._ended = False
        self.said = ""
        """The conversation so far: a mark by each agent that was in it."""
        self._with_caller = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def call(self) -> str:
        """The sid of the room where it has somebody to talk to; empty if it has nobody."""
        talks = self._in_room and not self._hung and self._in_room.room.callers
        return self._in_room.room.sid if self._in_room and talks else ""

    async def register(self) -> None:
        """Connect to the sidecar."""
        if self._supervisor.why_no_agent() is None:
            registration = agent.RegisterWorkerRequest(agent_name="desk", version="1.8.9")
            self._worker = Worker(_Socket(self), registration)  # type: ignore[arg-type]
            await self._supervisor.registered(self._worker)

    async def terminate(self) -> None:
        """Have its process end by SIGTERM, which it may not heed."""
        if self._hung or self._is(self._temper.deaf):
            await asyncio.Event().wait()
        await asyncio.sleep(self._chance.between(0.05, 0.5))

    def die(self) -> None:
        """Have its process killed."""
        self._alive = False
        for task in self._tasks:
            task.cancel()
        if self._in_room:
            self._scene.livekit.vanish(self._in_room)
            self._in_room = None
        if self._worker:
            self._worker.withdraw()
            self._supervisor.gone(self._worker)

    def receive(self, message: agent.ServerMessage) -> None:
        """Take a message of the worker protocol. Raises ConnectionResetError."""
        if not self._alive:
            raise ConnectionResetError
        if self._hung:
            return
        match message.WhichOneof("message"):
            case "availability":
                self.said = message.availability.job.attributes["voicepod.checkpoint"]
                self._start(self._answer(message.availability.job.id))
            case "assignment":
                self._job = message.assignment.job.id
                self._start(self._join(message.assignment.token))
            case "termination" if not self._is(self._temper.deaf):
                self._start(self._say_goodbye())

    def _is(self, fault: bool) -> bool:
        return fault and self._scene.weather is not CALM

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(self._scene.start(work))

    async def _answer(self, job: str) -> None:
        await asyncio.sleep(self._chance.between(0.001, 0.05))
        assert self._worker
        self._worker.take(
            agent.AvailabilityResponse(
                job_id=job,
                available=not self._is(self._temper.refuses),
                participant_identity=f"agent-{job}",
            )
        )

    async def _join(self, token: str) -> None:
        await self._report(agent.JobStatus.JS_RUNNING)
        late = self._is(self._temper.joins_late)
        await asyncio.sleep(self._chance.between(*(_LATE if late else _SOON)))
        if self._is(self._temper.never_joins) or self._ended:
            return
        claims = jwt.decode(token, options={"verify_signature": False})
        self._in_room = self._scene.livekit.join(
            claims["video"]["room"], claims["sub"], True, self._put_out, self._look_around
        )
        self._in_room.speaks = True
        self.said += "."
        self._supervisor.keep(self.said)
        self._look_around()
        if self._temper.closes_room:
            await asyncio.sleep(self._chance.between(2, 20))
            if self._is(self._temper.closes_room):
                self._supervisor.request_room_deletion()
        if self._temper.crashes_after is not None:
            await asyncio.sleep(self._temper.crashes_after)
            if self._is(True):
                self._crash()
        if self._temper.hangs_after is not None:
            await self._beat_until_it_hangs(self._temper.hangs_after)
        if self._scene.hushed and not self._hung:
            await self._hear_nobody()

    async def _beat_until_it_hangs(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self._supervisor.beat(Beat(Speech("listening")))
            await asyncio.sleep(1)
        self._hung = self._is(True)
        self._supervisor.beat(Beat(Speech("listening"), last=not self._hung))

    async def _hear_nobody(self) -> None:
        quiet = 0.0
        while self._in_room:
            self._supervisor.beat(Beat(Speech("listening"), quiet=quiet))
            await asyncio.sleep(1)
            quiet = quiet + 1 if self.call else 0.0

    def _look_around(self) -> None:
        if self._in_room is None or self._hung or not self._temper.leaves_with_caller:
            return
        callers = bool(self._in_room.room.callers)
        if self._with_caller and not callers:
            self._start(self._follow())
        self._with_caller = callers

    async def _follow(self) -> None:
        await asyncio.sleep(self._chance.between(0.02, 0.5))
        if not self._ended and self._in_room and not self._in_room.room.callers:
            await self._end_job()

    async def _say_goodbye(self) -> None:
        await asyncio.sleep(self._chance.between(0.01, 3))
        await self._end_job()

    def _put_out(self, _: str) -> None:
        self._in_room = None
        self._start(self._end_job())

    async def _end_job(self) -> None:
        if not self._ended and not self._hung:
            self._ended = True
            if self._in_room:
                self._scene.livekit.leave(self._in_room)
                self._in_room = None
            await self._report(agent.JobStatus.JS_SUCCESS)

    async def _report(self, status: agent.JobStatus) -> None:
        if self._temper.reports:
            await self._supervisor.reported(agent.UpdateJobStatus(job_id=self._job, status=status))


class _Socket:
    """The websocket to the agent, from the sidecar's side."""

    def __init__(self, agent_: Agent) -> None:
        self._agent = agent_

    async def send_bytes(self, message: bytes) -> None:
        self._agent.receive(agent.ServerMessage.FromString(message))

    async def close(self) -> None:
        return None
