"""How many pods wait for a call: as many as the operator would have, were it shown such a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

from voicepod.api.agent import MAX_POOL, Pool
from voicepod.reconcile.demand import Demand

_HOUR: Final = 3600

# In seconds. The operator looks at a pool at each call, and this often while none comes: so often
# it may shrink.
_LOOK: Final = 30

# Any: it makes two plans of the same calls the same.
_SEED: Final = 1

_MIDNIGHT: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Pods that wait for a call, or are on their way to, in one hour of the day."""

    mean: float
    most: int


def waiting(hourly: Sequence[float], least: int, pod_start: float) -> list[Waiting]:
    """Return how many pods wait in each hour of a day whose calls come by chance.

    ``least`` is the pool's ``min``; ``pod_start`` is in seconds.
    """
    pool, demand = Pool(min=least, max=MAX_POOL), Demand()
    demand.refilled(pod_start)
    chance = Random(_SEED)  # noqa: S311 - no secret is made of it
    result, wanted = [], least
    for hour, calls in enumerate(hourly):
        arrivals = _by_second(chance, calls)
        sizes = []
        for second, count in enumerate(arrivals):
            now = _MIDNIGHT + timedelta(hours=hour, seconds=second)
            for _ in range(count):
                demand.arrived(now)
            if count or second % _LOOK == 0:
                wanted = demand.wanted(pool, now)
            sizes.append(wanted)
        result.append(Waiting(sum(sizes) / _HOUR, max(sizes)))
    return result


def _by_second(chance: Random, calls: float) -> list[int]:
    """Return how many calls come in each second of an hour."""
    seconds = [0] * _HOUR
    second = chance.expovariate(calls / _HOUR) if calls else _HOUR
    while second < _HOUR:
        seconds[int(second)] += 1
        second += chance.expovariate(calls / _HOUR)
    return seconds
