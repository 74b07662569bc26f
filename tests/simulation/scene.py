"""What there is once in a run, and everybody needs."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.simulation.chance import Chance
from tests.simulation.livekit import LiveKit
from tests.simulation.trace import Trace
from tests.simulation.weather import CALM, Weather
from tests.support.fake_kube import FakeKube
from tests.support.hours import now

NAMESPACE: Final = "voice"

API_SERVER: Final = "the API server"
LIVEKIT: Final = "LiveKit"

_NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def clock() -> datetime:
    """Return what everybody takes for now: noon, and the seconds of the loop."""
    return _NOON + timedelta(seconds=now())


def unix() -> float:
    """Return the same in Unix seconds."""
    return clock().timestamp()


def _nobody(_: dict[str, str]) -> bool:
    raise ConnectionRefusedError("there is no operator")


@dataclass(slots=True)
class Scene:
    """A cluster's API server, a LiveKit, and the weather."""

    seed: int
    trace: Trace
    broken: Callable[[str], None]
    """Called with what must not be."""
    weather: Weather = CALM
    store: FakeKube = field(default_factory=lambda: FakeKube(clock))
    livekit: LiveKit = field(init=False)
    hushed: bool = field(init=False)
    """Nobody says a word in this run, and every agent has the runtime, which tells so."""
    away: set[str] = field(default_factory=set)
    """Of ``API_SERVER`` and ``LIVEKIT``, those that cannot be asked now."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    hint: Callable[[dict[str, str]], bool] = _nobody
    """The operator's ``/hint``: whether it takes one. Raises OSError where no operator is."""

    def __post_init__(self) -> None:
        self.livekit = LiveKit(unix, self.trace)
        self.hushed = self.chance("hush").happens(0.1)

    @contextmanager
    def without(self, server: str) -> Iterator[None]:
        """Have a server be away meanwhile."""
        self.trace.say("outage", server, "is away")
        self.away.add(server)
        try:
            yield
        finally:
            self.away.discard(server)
            self.trace.say("outage", server, "is back")

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done, which must not fail."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.broken(f"raised and not caught: {error!r}")

    def chance(self, actor: str) -> Chance:
        """Return the draws of an actor."""
        return Chance(self.seed, actor)
