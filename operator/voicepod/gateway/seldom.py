"""Things that are worth saying, but not with every webhook."""

import time
from collections.abc import Callable, Hashable
from typing import Final

# How many things are remembered. Beyond it all are forgotten: something is said once more then,
# which does less harm than a memory that grows.
_REMEMBERED: Final = 4096


class Seldom:
    """Allows each thing once in a while."""

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``period`` is in seconds."""
        self._period = period
        self._clock = clock
        self._said: dict[Hashable, float] = {}

    def allows(self, thing: Hashable) -> bool:
        """Whether this was not allowed within the period yet; it counts as said from now on."""
        now = self._clock()
        said = self._said.get(thing)
        if said is not None and now - said < self._period:
            return False
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        self._said[thing] = now
        return True
