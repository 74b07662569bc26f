"""What another bench needs of this one's file."""

from bench import figures
from local.errors import LocalError


def max_rate() -> float:
    """Return how many sessions a second this machine was found to keep up with.

    Raises LocalError when that was not measured, or none were.
    """
    rate = float(figures.read("claim")["max_rate"])
    if rate == 0:
        raise LocalError("bench-claim found no rate that this machine keeps up with")
    return rate
