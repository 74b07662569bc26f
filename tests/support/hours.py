"""An event loop that never waits: hours of timers go by in milliseconds."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any


class Hours(asyncio.SelectorEventLoop):
    """When nothing is left to do, time jumps to the next timer. Begins at zero, and does no I/O."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_NoWait(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Have so many seconds gone by."""
        self._now += seconds


class _NoWait(selectors.SelectSelector):
    """Where an event loop waits for sockets or its next timer, this one lets time jump."""

    def __init__(self, loop: Hours) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everything waits, and nothing will ever happen again")
        self._loop.jump(timeout)
        return []


def in_hours(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test in such a loop."""

    def run() -> None:
        with asyncio.Runner(loop_factory=Hours) as runner:
            runner.run(test())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def now() -> float:
    """Seconds of the loop's clock."""
    return asyncio.get_running_loop().time()
