"""What a plan is made from. Whatever cannot be is refused here, in a sentence."""

import math
from dataclasses import dataclass
from typing import Final

from kubernetes.utils.quantity import parse_quantity

from voicepod.api.durations import seconds
from voicepod.builders.pod import SIDECAR_REQUESTS

HOURS: Final = 24

# In seconds: what maxDuration may be at the most.
_LONGEST_CALL: Final = 24 * 3600.0

# Calls an hour: some three hundred a second, more than a cluster starts pods for.
_MOST_CALLS: Final = 1_000_000.0


class PlanError(ValueError):
    """An input of which no plan can be made; the message says what would be right."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a day."""

    hourly: tuple[float, ...]
    """How many come in each of the day's hours."""
    talking: float
    """Seconds that a caller is there, in the mean."""
    waiting: float
    """Seconds for which a call has its pod beyond that: start, ``reconnectGrace``, goodbye."""

    def __post_init__(self) -> None:
        if not any(self.hourly):
            raise PlanError("no calls come: give one hour at least more than 0")
        if not 0 < self.talking <= _LONGEST_CALL:
            raise PlanError("a call lasts longer than 0s, and 24h at the most")

    @property
    def holding(self) -> float:
        """Seconds for which a call has its pod."""
        return self.talking + self.waiting

    @property
    def a_day(self) -> float:
        """How many come in a day."""
        return sum(self.hourly)

    @property
    def minutes(self) -> float:
        """Minutes of talk in a day."""
        return self.a_day * self.talking / 60


@dataclass(frozen=True, slots=True)
class Size:
    """CPU in cores and memory in bytes: what something asks for, or has."""

    cpu: float
    memory: float

    def fits_into(self, room: "Size") -> int:
        """Return how many of this size fit into a larger one."""
        # The smallest fraction of a core that Kubernetes knows keeps 10 x 0.1 from being 0.99….
        return math.floor(min(room.cpu / self.cpu, room.memory / self.memory) + 1e-9)


@dataclass(frozen=True, slots=True)
class Node:
    """The kind of node that agents run on."""

    size: Size
    """What it has for them: its allocatable, less what DaemonSets take."""
    most_pods: int
    price: float
    """An hour, in any currency."""
    start: float
    """Seconds from a pod that has no room until the node for it is there."""
    idle: float
    """Seconds that the autoscaler leaves a node that is not needed."""

    def __post_init__(self) -> None:
        if not 0 < self.price < math.inf:
            raise PlanError("a node's price is a number above 0")

    def places(self, pod: Size, what: str) -> int:
        """Return how many pods of a size it takes.

        Raises PlanError when it takes none; ``what`` says of which kind the pods are.
        """
        places = min(pod.fits_into(self.size), self.most_pods)
        if places < 1:
            raise PlanError(
                f"{what} does not fit on a node: it asks for {describe(pod)}, "
                f"and the node has {describe(self.size)}"
            )
        return places


@dataclass(frozen=True, slots=True)
class Shared:
    """A pool of workers that hold nothing of a call between two of its turns."""

    calls: int | None
    """Calls for which one worker has room; None: as many as a node has room for."""
    base_memory: float
    """Bytes of a worker that does nothing."""
    turns: float
    """Turns of a call in a minute: the caller has spoken, the agent answers."""
    turn_cpu: float
    """Seconds of a core that a turn takes."""
    turn_memory: float
    """Bytes that a turn takes while it lasts."""
    fetch: float
    """Seconds until a turn has its call's context, and has put it back."""

    def __post_init__(self) -> None:
        if not (0 < self.turns < math.inf and self.turn_cpu > 0):
            raise PlanError("a call has turns, and each of them takes CPU time")


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a plan is made from."""

    calls: Calls
    pod: Size
    """What the template's containers ask for; the sidecar comes on top."""
    pod_start: float
    """Seconds from a pod's making until it waits."""
    pool_min: int
    node: Node
    shared: Shared

    def __post_init__(self) -> None:
        if self.pod_start <= 0:
            raise PlanError("a pod takes some time to start: give more than 0s")

    @property
    def whole_pod(self) -> Size:
        """What a pod asks for, its sidecar among it."""
        return Size(
            self.pod.cpu + amount(SIDECAR_REQUESTS["cpu"]),
            self.pod.memory + amount(SIDECAR_REQUESTS["memory"]),
        )


def hourly(text: str) -> tuple[float, ...]:
    """Read calls an hour: one number for the whole day, or one for each hour of it.

    Raises PlanError.
    """
    numbers = [_calls(part) for part in text.split(",")]
    if len(numbers) == 1:
        return tuple(numbers * HOURS)
    if len(numbers) != HOURS:
        raise PlanError(
            f"{len(numbers)} numbers: give one for the whole day, or {HOURS}, for each hour from "
            "midnight on"
        )
    return tuple(numbers)


def _calls(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise PlanError(f"{text.strip()!r} is not a number of calls, such as 120") from None
    if not 0 <= number <= _MOST_CALLS:
        raise PlanError(
            f"{text.strip()} calls an hour: from 0 to {_MOST_CALLS:,.0f} can be planned"
        )
    return number


def duration(text: str) -> float:
    """Read a duration, in seconds. Raises PlanError."""
    try:
        return seconds(text)
    except ValueError as error:
        raise PlanError(str(error)) from None


def amount(text: str) -> float:
    """Read an amount of CPU or memory as Kubernetes writes it. Raises PlanError."""
    try:
        number = float(parse_quantity(text))  # type: ignore[no-untyped-call]
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise PlanError(f"{text!r} is no amount such as 250m of CPU, or 512Mi of memory")
    return number


def describe(size: Size) -> str:
    """Return a size as Kubernetes writes it."""
    return f"{size.cpu * 1000:.0f}m CPU and {size.memory / 2**20:.0f}Mi"
