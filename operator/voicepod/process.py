"""What operator and gateway do alike as processes: serve HTTP, and keep their cache complete."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from voicepod.kube.errors import KubeError

logger = logging.getLogger(__name__)

# In seconds, for requests that are under way when the process is told to stop. One to the API
# server takes ten at most, and Kubernetes gives a pod thirty.
_SHUTDOWN: Final = 15.0

# In seconds, until the API server, the CRDs or the rights are looked for again.
_RETRY: Final = 2.0

# In seconds. A watch that starts anew does not tell what was deleted meanwhile; a list of
# everything does. Nothing urgent hangs on it.
_RELIST: Final = 300.0

Fill = Callable[[], Awaitable[None]]
"""Lists everything; raises an exception of ``kube.errors``."""


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


async def fill_first(fill: Fill) -> None:
    """List everything, as often as it takes until it succeeds."""
    while True:
        if await _filled(fill):
            return
        await asyncio.sleep(_RETRY)


async def fill_again(fill: Fill) -> None:
    """List everything now and then, until cancelled."""
    while True:
        await asyncio.sleep(_RELIST)
        await _filled(fill)


async def _filled(fill: Fill) -> bool:
    try:
        await fill()
    except KubeError as error:
        logger.warning("cannot list what there is: %s", error)
        return False
    return True
