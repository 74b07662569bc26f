"""Calls that begin go first: what nobody waits for gives way to them.

Most of what a call has the API server write comes after its begin: the next warm pod, and the
deletion of what is left when it is over. It may as well come a moment later, and when many calls
come at once, as at random they do now and then, it does.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

# In seconds: what a call takes until it has its agent where much is going on. Where calls begin all
# the time, what gives way has its turn four times a second.
_AT_MOST: Final = 0.25


class Rush:
    """Knows whether calls are on their way to their agents."""

    def __init__(self) -> None:
        self._calls = 0
        self._over = asyncio.Event()
        self._over.set()

    @contextmanager
    def of_a_call(self) -> Iterator[None]:
        """Have others give way while the ``with`` lasts."""
        self._calls += 1
        self._over.clear()
        try:
            yield
        finally:
            self._calls -= 1
            if self._calls == 0:
                self._over.set()

    async def give_way(self) -> None:
        """Wait until there is a moment without a call that begins, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_AT_MOST):
                await self._over.wait()
