"""An API server that takes its time for some requests, and how many of them it had at once."""

import asyncio
from collections.abc import Callable

from tests.support.fake_kube import Call


class Slow:
    """A fault of the fake: each request that ``concerns`` says yes to takes ``seconds``."""

    def __init__(self, seconds: float, concerns: Callable[[Call], bool]) -> None:
        self._seconds, self._concerns = seconds, concerns
        self._now = 0
        self.most = 0
        """How many there were at once, at most."""

    async def __call__(self, call: Call) -> None:
        """Hold a request up."""
        if self._concerns(call):
            self._now += 1
            self.most = max(self.most, self._now)
            await asyncio.sleep(self._seconds)
            self._now -= 1
