"""An event loop that never waits: hours of timers go by in milliseconds."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Hours(asyncio.SelectorEventLoop):
    """When nothing is left to do, time jumps to the next timer. Begins at zero."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        loop: Any = self
        timers = [timer.when() for timer in loop._scheduled if not timer.cancelled()]
        if timers and not loop._ready:
            self._now = max(self._now, min(timers))
        super()._run_once()  # type: ignore[misc]


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
