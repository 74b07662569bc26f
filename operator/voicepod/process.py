"""What operator and gateway do alike as processes: serve HTTP, and keep their cache complete."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

from aiohttp import web

from voicepod.kube.errors import KubeError
from voicepod.kube.follow import NO_VERSIONS, Versions

logger = logging.getLogger(__name__)

# In seconds, for requests that are under way when the process is told to stop. One to the API
# server takes ten at most, and Kubernetes gives a pod thirty.
_SHUTDOWN: Final = 15.0

# In seconds, until the API server, the CRDs or the rights are looked for again.
_RETRY: Final = 2.0

# In seconds. A watch that starts anew does not tell what was deleted meanwhile; a list of
# everything does. Nothing urgent hangs on it.
_RELIST: Final = 300.0

# In seconds, between two pages of it. Each is some ten milliseconds of work, for the API server and
# for us, and ten thousand calls are two hundred: at this pace a thirtieth of what both can do, for
# a minute. For forty thousand calls it still ends before the API server forgets its first page.
_PAUSE: Final = 0.3

T = TypeVar("T")

Fill = Callable[[float], Awaitable[Versions]]
"""Lists everything, with some seconds between two pages, and returns of when each list is.

Raises an exception of ``kube.errors``.
"""


@asynccontextmanager
async def serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Serve the application; at the end, let the requests under way finish."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


def keep_for_good() -> None:
    """Have the garbage collector pass over what is there now.

    Modules, classes and the calls of a large cluster are hundreds of thousands of objects. To look
    through them again takes tenths of a second, in which no call goes on. What is not referred to
    any more is freed all the same, unless it refers to itself.
    """
    gc.collect()
    gc.freeze()


async def insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask the API server for what nothing can begin without, until it answers."""
    while True:
        try:
            return await ask()
        except KubeError as error:
            logger.warning("cannot begin yet: %s", error)
            await asyncio.sleep(_RETRY)


class Listed:
    """Sees to it that everything was listed since a moment, by the event loop's clock."""

    versions: Versions = NO_VERSIONS
    """Of when the last lists are."""

    def __init__(self, fill: Fill) -> None:
        self._fill = fill
        self._since = float("-inf")
        self._filling = asyncio.Lock()

    async def since(self, moment: float) -> None:
        """List everything, unless that was done, or begun, after ``moment``."""
        async with self._filling:
            if self._since < moment:
                since = asyncio.get_running_loop().time()
                self.versions = await insist(partial(self._fill, 0.0))
                self._since = since

    async def once(self) -> None:
        """List everything, unless that was done at any time."""
        if self._since == float("-inf"):
            await self.since(0.0)


async def fill_again(fill: Fill) -> None:
    """List everything now and then, until cancelled."""
    while True:
        await asyncio.sleep(_RELIST)
        try:
            await fill(_PAUSE)
        except KubeError as error:
            logger.warning("cannot list what there is: %s", error)


def begin_anew() -> None:
    """Have the process begin from nothing, at once, whatever is under way in it.

    It keeps its container: the kubelet would take an end for a crash, and hold the next start up,
    for up to five minutes when it was not the first.
    """
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no other process is started
