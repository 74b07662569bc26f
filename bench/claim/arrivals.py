"""When callers come: at random, and whether or not the ones before were served."""

import random

# Any number: with the same one the same moments come again.
_SEED = 20260


def arrivals(rate: float, seconds: float) -> list[float]:
    """Return the moments of a Poisson process, in seconds from its start."""
    randomly = random.Random(f"{_SEED} {rate}")
    moments, now = [], randomly.expovariate(rate)
    while now < seconds:
        moments.append(now)
        now += randomly.expovariate(rate)
    return moments
