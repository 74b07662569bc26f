"""How many pods of a VoiceAgent should wait: as many as calls come while one pod starts.

That number is a matter of chance with the mean *arrival rate x time to refill*, and the margin is
what it takes so that the pool is empty for one call in a thousand: 3.09 standard deviations of a
Poisson distribution, whose deviation is the square root of its mean.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from voicepod.api.agent import Pool, VoiceAgentStatus

# What is more than this many standard deviations above its mean happens once in a thousand times.
# Once in a hundred would be the 99th percentile of all starts: the least haste would show there.
_DEVIATIONS: Final = 3.09

# In seconds. A burst shows in a quarter of a minute, and what is usual in five: the higher rate
# counts, so that the pool grows at once and a pause between two calls does not empty it.
_WINDOWS: Final = (15, 300)

# The pool shrinks by a tenth of it, at least by one, each time this much has passed: pods that turn
# out to be needed again cost more than those that wait for a minute.
_SHRINK: Final = timedelta(seconds=30)
_TENTH: Final = 10

# Refill times that count: the last ones, enough for a 95th percentile to mean something.
_REFILLS: Final = 50
_PERCENTILE: Final = 0.95

# In seconds, until a pod was measured: an image that is there, and an agent without large models.
_FIRST_GUESS: Final = 5.0


def pods_for(rate: float, refill: float) -> int:
    """Return how many pods should wait for ``rate`` calls a second, ``refill`` seconds a pod."""
    mean = rate * refill
    return math.ceil(mean + _DEVIATIONS * math.sqrt(mean))


@dataclass(slots=True)
class Demand:
    """What the calls and the pods of one VoiceAgent have shown so far."""

    _arrivals: deque[tuple[int, int]] = field(default_factory=deque)
    """Unix seconds with calls, the oldest first, and how many came in each."""
    _refills: deque[float] = field(default_factory=lambda: deque(maxlen=_REFILLS))
    _wanted: int = 0
    _changed: datetime | None = None
    _bounds: Pool | None = None

    @classmethod
    def from_status(cls, status: VoiceAgentStatus) -> "Demand":
        """Go on from what the operator before this one had learned."""
        demand = cls(_wanted=status.wanted)
        if status.refill_seconds is not None:
            demand.refilled(status.refill_seconds)
        return demand

    def arrived(self, now: datetime) -> None:
        """Count a session that got its pod, be it a warm one or not."""
        second, calls = int(now.timestamp()), 0
        if self._arrivals and self._arrivals[-1][0] == second:
            _, calls = self._arrivals.pop()
        self._arrivals.append((second, calls + 1))

    def refilled(self, seconds: float) -> None:
        """Note how long a pod took from its making until it waited."""
        self._refills.append(seconds)

    def rate(self, now: datetime) -> float:
        """Return how many calls a second come at the most, by any of the windows."""
        second = int(now.timestamp())
        while self._arrivals and self._arrivals[0][0] <= second - max(_WINDOWS):
            self._arrivals.popleft()
        return max(
            sum(calls for at, calls in self._arrivals if at > second - window) / window
            for window in _WINDOWS
        )

    @property
    def refill_seconds(self) -> float | None:
        """The 95th percentile of the last refill times; None before the first."""
        if not self._refills:
            return None
        return sorted(self._refills)[math.ceil(_PERCENTILE * len(self._refills)) - 1]

    def wanted(self, pool: Pool, now: datetime) -> int:
        """Return how many pods should wait now: it grows at once, and shrinks slowly."""
        need = _within(pool, self._need(now))
        if self._changed is None:
            self._wanted, self._changed = max(need, self._wanted), now
        elif need >= self._wanted or pool != self._bounds:
            # Whoever changes the bounds wants to see it.
            self._wanted, self._changed = need, now
        elif now >= self._changed + _SHRINK:
            step = max(1, self._wanted // _TENTH)
            self._wanted, self._changed = max(need, self._wanted - step), now
        self._bounds = pool
        return _within(pool, self._wanted)

    def _need(self, now: datetime) -> int:
        return pods_for(self.rate(now), self.refill_seconds or _FIRST_GUESS)

    def wake(self, pool: Pool) -> float | None:
        """Return the seconds until the pool may have become too large; None when it cannot."""
        calm = not self._arrivals and self._wanted <= pool.min
        return None if calm else _SHRINK.total_seconds()


def _within(pool: Pool, pods: int) -> int:
    return max(pool.min, min(pods, pool.most))
