"""Durations as Kubernetes users write them: ``30s``, ``1h30m``, ``250ms``."""

import re
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict

PATTERN: Final = r"^([0-9]+(h|m|s|ms))+$"

# Long enough for every sensible duration; a bound keeps the cost of the CEL rules estimable.
MAX_LENGTH: Final = 16

_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = re.compile(r"([0-9]+)(ms|h|m|s)")


# The same few are asked for again and again; some VoiceAgents and sessions have others.
@lru_cache(maxsize=1024)
def seconds(duration: str) -> float:
    """Return ``duration`` in seconds.

    Raises ValueError when it is not a duration.
    """
    if not re.fullmatch(PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration such as 30s, 5m or 1h30m")
    return sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(duration))


def _check(duration: str) -> str:
    seconds(duration)
    return duration


Duration = Annotated[str, Field(max_length=MAX_LENGTH, pattern=PATTERN), AfterValidator(_check)]
"""A field that holds a duration; ``seconds`` reads it."""


def between(field: str, least: str, most: str) -> JsonDict:
    """A CEL rule for an object: its ``field``, if set, lies between two durations."""
    value = f"duration(self.{field})"
    return {
        "rule": f"!has(self.{field}) || "
        f"({value} >= duration('{least}') && {value} <= duration('{most}'))",
        "message": f"{field} must be between {least} and {most}",
    }
