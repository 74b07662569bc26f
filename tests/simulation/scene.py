"""What there is once in a run, and everybody needs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.simulation.chance import Chance
from tests.simulation.livekit import LiveKit
from tests.simulation.trace import Trace
from tests.simulation.weather import CALM, Weather
from tests.support.fake_kube import FakeKube
from tests.support.hours import now

NAMESPACE: Final = "voice"

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
    weather: Weather = CALM
    store: FakeKube = field(default_factory=lambda: FakeKube(clock))
    livekit: LiveKit = field(init=False)
    hint: Callable[[dict[str, str]], bool] = _nobody
    """The operator's ``/hint``: whether it takes one. Raises OSError where no operator is."""

    def __post_init__(self) -> None:
        self.livekit = LiveKit(unix, self.trace)

    def chance(self, actor: str) -> Chance:
        """Return the draws of an actor."""
        return Chance(self.seed, actor)
