"""A process of ours: it may be killed at any request, and what it asks may come to nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tests.simulation.chance import Chance
from tests.simulation.trace import Trace

T = TypeVar("T")

# In seconds: how long a message is under way as a rule, and when it is slow.
_QUICK: Final = (0.0005, 0.01)
_SLOW: Final = (0.2, 5.0)


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely each fate of a request is."""

    refused: float = 0.0
    """It fails, and nothing was done."""
    lost: float = 0.0
    """It is done, and the answer does not come back."""
    slow: float = 0.0


class Process:
    """What runs in one container. What it remembers goes with it."""

    def __init__(
        self, name: str, chance: Chance, trace: Trace, mortality: Callable[[], float]
    ) -> None:
        """``mortality`` returns how likely a request is the last one."""
        self.name = name
        self.alive = True
        self.chance = chance
        self.trace = trace
        self.ended = asyncio.Event()
        self._mortality = mortality
        self._main: asyncio.Task[None] | None = None
        self._limbo: list[asyncio.Future[None]] = []
        """What is waited for after the process's death; forgetting it would wake who waits."""

    async def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run until the process is killed or stopped. Raises what it fails with."""
        self._main = asyncio.create_task(main)
        await asyncio.wait([self._main])
        self._end()
        if not self._main.cancelled():
            self._main.result()

    def kill(self) -> None:
        """End it where it is, as SIGKILL does: whatever it does now reaches nobody."""
        self.trace.say(self.name, "is killed")
        self._end()
        self.stop()

    def _end(self) -> None:
        self.alive = False
        self.ended.set()

    def stop(self) -> None:
        """Tell it to end, as SIGTERM does: what it does in its last seconds counts."""
        assert self._main
        self._main.cancel()

    async def ask(
        self,
        what: str,
        do: Callable[[], Awaitable[T]],
        odds: Odds,
        failure: Callable[[str], Exception],
    ) -> T:
        """Have somebody else do something; raises ``failure`` if that, or the answer, gets lost.

        What is done is done before this returns or raises.
        """
        await self._travel(odds)
        if self.chance.happens(odds.refused):
            self._say(what, "it fails")
            raise failure("it cannot answer now")
        error = None
        try:
            result = await do()
        except Exception as raised:
            error = raised
        self._say(what, repr(error) if error else "")
        if self.alive and self.chance.happens(self._mortality()):
            self.kill()
        await self._travel(odds)
        if self.chance.happens(odds.lost):
            self._say(what, "the answer gets lost")
            raise failure("the answer got lost")
        if error:
            raise error
        return result

    async def _travel(self, odds: Odds) -> None:
        times = _SLOW if self.chance.happens(odds.slow) else _QUICK
        await asyncio.sleep(self.chance.between(*times))
        if not self.alive:
            # What was under way at its death has arrived before, or never does.
            limbo: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._limbo.append(limbo)
            await limbo

    def _say(self, what: str, outcome: str) -> None:
        if self.trace.wanted:
            self.trace.say(self.name, what, *(["→", outcome] if outcome else []))
