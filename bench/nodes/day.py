"""The day: when calls come, and how long they last.

It is compressed so that it fits into half an hour on two cores. Calls, the start and exit of pods,
the start of nodes, and all that Karpenter has a setting for are `PACE` times as short as in life,
the day is 54 times as short: for a call's length, calls rise and fall thirteen times as steeply as
they do in life. What has no setting is as long as ever: the pool's sizing looks at the last 15 and
300 s, Karpenter looks for nodes to remove every 10 s, and looks at each again 15 s later.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile

from bench.claim.arrivals import arrivals

PACE = 4.0

CALL_SECONDS = 120.0
"""The mean; eight minutes in life. Lengths are exponential: a call may end at any moment."""

# Any number: with the same one the same day comes again.
_SEED = 20261


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the day, in which calls come ever more or less often."""

    name: str
    seconds: float
    first: float
    """Calls a second at its beginning."""
    last: float
    """Calls a second at its end."""


FULL = (
    Phase("quiet", 60, 0.5, 0.5),
    Phase("ramp", 480, 0.5, 6),
    Phase("peak", 600, 6, 6),
    Phase("fall", 400, 6, 0.5),
    Phase("night", 60, 0.5, 0.5),
)
QUICK = (
    Phase("quiet", 20, 0.5, 0.5),
    Phase("ramp", 60, 0.5, 3),
    Phase("peak", 60, 3, 3),
    Phase("fall", 60, 3, 0.5),
    Phase("night", 30, 0.5, 0.5),
)


def until_peak(day: Sequence[Phase]) -> tuple[Phase, ...]:
    """Return the phases in which calls have not come most often yet."""
    return tuple(takewhile(lambda phase: phase.name != "peak", day))


def bounds(day: Sequence[Phase]) -> list[tuple[float, float]]:
    """Return when each phase begins and ends, in seconds from the day's beginning."""
    return list(pairwise(accumulate((phase.seconds for phase in day), initial=0.0)))


def calls(day: Sequence[Phase]) -> list[tuple[float, float]]:
    """Return when each call comes, by a Poisson process with the day's rate, and its length.

    Those that would go on after the day end with it.
    """
    chance = random.Random(_SEED)
    spans = bounds(day)
    most = max(max(phase.first, phase.last) for phase in day)
    return [
        (moment, min(chance.expovariate(1 / CALL_SECONDS), spans[-1][1] - moment))
        for moment in arrivals(most, spans[-1][1])
        if chance.random() * most < _rate(day, spans, moment)
    ]


def _rate(day: Sequence[Phase], spans: Sequence[tuple[float, float]], moment: float) -> float:
    phase, begin = next(
        (phase, begin)
        for phase, (begin, end) in zip(day, spans, strict=True)
        if begin <= moment < end
    )
    return phase.first + (phase.last - phase.first) * (moment - begin) / phase.seconds
