"""Lists of everything there is: where watches begin, and what makes up for what they miss."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

from voicepod.kube.client import Resource
from voicepod.kube.errors import KubeError

logger = logging.getLogger(__name__)

T = TypeVar("T")

Versions = Mapping[tuple[Resource, str | None], str]
"""The resourceVersion of the list of each kind, in each namespace or in all of them (None)."""

Begin = Callable[[], Awaitable[Versions]]
"""Lists what a cache needs to begin with, and returns of when each list is.

Raises an exception of ``kube.errors``.
"""

Fill = Callable[[float], Awaitable[object]]
"""Lists everything, with some seconds between two pages. Raises an exception of ``kube.errors``."""

FillFew = Callable[[], Awaitable[None]]
"""Lists what kopf watches, which are few. Raises an exception of ``kube.errors``."""

# In seconds, until the API server, the CRDs or the rights are looked for again.
_RETRY: Final = 2.0

# In seconds. kopf does not tell when a watch of its own had to start anew, and what was deleted
# meanwhile it never tells. Nothing urgent hangs on it.
_FEW_AGAIN: Final = 300.0

# In seconds, between two pages of a list of everything while calls go on. Each is some ten
# milliseconds of work, for the API server and for us, and ten thousand calls are two hundred: at
# this pace a thirtieth of what both can do, for a minute. For forty thousand calls it still ends
# before the API server forgets its first page.
_PAUSE: Final = 0.3


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the API server for what nothing can begin without, until it answers."""
    while True:
        try:
            return await ask()
        except KubeError as error:
            logger.warning("cannot begin yet: %s", error)
            await asyncio.sleep(_RETRY)


class Lists:
    """Keeps a cache complete that is filled by lists and kept up to date by watches."""

    versions: Versions
    """Of when the last lists are."""

    def __init__(self, begin: Begin, fill: Fill, fill_few: FillFew) -> None:
        self._begin, self._fill, self._fill_few = begin, fill, fill_few
        self._since = float("-inf")
        self._filling = asyncio.Lock()
        self._missed = asyncio.Event()

    async def since(self, moment: float) -> None:
        """List what is needed to begin, unless that was begun after ``moment``, by the event loop's
        clock."""
        async with self._filling:
            if self._since < moment:
                since = asyncio.get_running_loop().time()
                self.versions = await insist(self._begin)
                self._since = since

    async def once(self) -> None:
        """List what is needed to begin, unless that was done at any time."""
        if self._since == float("-inf"):
            await self.since(0.0)

    def missed(self) -> None:
        """Have everything listed: a watch began anew, and was not told what had gone meanwhile."""
        self._missed.set()

    async def again(self) -> None:
        """List again what watches have missed, or may have, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_FEW_AGAIN):
                    await self._missed.wait()
            except TimeoutError:
                await self._try(self._fill_few)
                continue
            self._missed.clear()
            if not await self._try(partial(self._fill, _PAUSE)):
                self._missed.set()
                await asyncio.sleep(_RETRY)

    async def _try(self, fill: Callable[[], Awaitable[object]]) -> bool:
        try:
            await fill()
        except KubeError as error:
            logger.warning("cannot list what there is: %s", error)
            return False
        return True
