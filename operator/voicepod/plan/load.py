"""How many calls are on at once: its mean by hour, and how far chance takes it from there.

Calls that come by chance and end at any moment are on in a number that is by chance as well, and
whose variance is its mean (a Poisson distribution). What it is now and what it was a time ago have
``exp(-time / mean length of a call)`` in common.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_HOUR: Final = 3600.0

# What is more than this many standard deviations above its mean happens once in a hundred times.
_DEVIATIONS: Final = 2.33


@dataclass(frozen=True, slots=True)
class Load:
    """Calls at once, expected in one hour of the day."""

    level: float
    """What it would come to if the hour went on."""
    mean: float
    top: float
    """At the hour's beginning or its end, whichever is more."""


def loads(hourly: Sequence[float], holding: float) -> list[Load]:
    """Return the calls at once in each hour, ``holding`` being their mean length in seconds.

    An hour begins with what the one before has left, and midnight with the day's end.
    """
    kept = math.exp(-_HOUR / holding)
    levels = [calls * holding / _HOUR for calls in hourly]
    # One day of arrivals from nothing, and then what the end of such days adds up to.
    at_midnight = _evening(0.0, levels, kept) / (1 - kept ** len(levels))
    result, begin = [], at_midnight
    for level in levels:
        end = level + (begin - level) * kept
        mean = level + (begin - level) * (1 - kept) * holding / _HOUR
        result.append(Load(level, mean, max(begin, end)))
        begin = end
    return result


def _evening(begin: float, levels: Sequence[float], kept: float) -> float:
    for level in levels:
        begin = level + (begin - level) * kept
    return begin


def highest(mean: float, holding: float, seconds: float) -> float:
    """Return how many calls are at once at the highest moment of some seconds, in the mean.

    In ``seconds`` there are as many looks at it that have nothing in common as calls end one after
    the other, and the highest of n such looks is sqrt(2 ln n) deviations above the mean.
    """
    return mean + math.sqrt(2 * mean * math.log1p(seconds / holding))


def growth(day: Sequence[Load], holding: float, seconds: float) -> int:
    """Return by how many calls at once there may be more after some seconds, at any time of day.

    It is exceeded one time in a hundred: by a rise of the day's calls, and by chance.
    """
    changed = 1 - math.exp(-seconds / holding)
    rise = max(after.level - before.level for before, after in pairwise([day[-1], *day]))
    top = max(load.top for load in day)
    return math.ceil(rise * changed + _margin(2 * top * changed))


def enough_for(mean: float) -> int:
    """Return how many are enough, but for one time in a hundred, of what chance makes ``mean``."""
    return math.ceil(mean + _margin(mean))


def _margin(variance: float) -> float:
    """Return what lies above a mean one time in a hundred at the most."""
    return _DEVIATIONS * math.sqrt(variance)
