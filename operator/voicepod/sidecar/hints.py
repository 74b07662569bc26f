"""Tells the operator that there is news, which it then asks for.

A hint carries no truth: it is two names, unsigned. It may get lost, as the operator asks now and
then by itself; so it is tried again for some seconds, and never longer.
"""

import asyncio
import logging
from typing import Final

import aiohttp

logger = logging.getLogger(__name__)

# Seconds to wait after each failed attempt, 19 in all. The next operator of ten thousand calls has
# begun after 13 at most; what it is not told of it may see ten minutes later.
_PAUSES: Final = (0.1, 0.2, 0.4, 0.8, 1.6, *[3.2] * 5)

# Seconds for one attempt. The operator only takes a note.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)

# Seconds that the last hint has when the pod stops.
_LAST_WORDS: Final = 1.0


class Hints:
    """Sends one hint at a time; news that come meanwhile are one more hint."""

    def __init__(
        self, http: aiohttp.ClientSession, operator_url: str, namespace: str, pod: str
    ) -> None:
        self._http = http
        self._url = f"{operator_url.rstrip('/')}/hint"
        self._body = {"namespace": namespace, "pod": pod}
        self._news = False
        self._task: asyncio.Task[None] | None = None

    def send(self) -> None:
        """There is news."""
        self._news = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._deliver())

    async def close(self) -> None:
        """Give the hint that is under way a moment."""
        if self._task:
            await asyncio.wait([self._task], timeout=_LAST_WORDS)
            self._task.cancel()

    async def _deliver(self) -> None:
        while self._news:
            self._news = False
            for pause in (*_PAUSES, None):
                problem = await self._try()
                if problem is None:
                    break
                if pause is None:
                    logger.warning("the operator did not take a hint: %s", problem)
                else:
                    await asyncio.sleep(pause)

    async def _try(self) -> str | None:
        """Return what went wrong, or None."""
        try:
            async with self._http.post(self._url, json=self._body, timeout=_TIMEOUT) as response:
                return None if response.ok else f"it answered {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__
