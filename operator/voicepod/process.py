"""What operator and gateway do alike as processes: serve HTTP, and keep what they have."""

import gc
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

# In seconds, for requests that are under way when the process is told to stop. One to the API
# server takes ten at most, and Kubernetes gives a pod thirty.
_SHUTDOWN: Final = 15.0


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


def begin_anew() -> None:
    """Have the process begin from nothing, at once, whatever is under way in it.

    It keeps its container: the kubelet would take an end for a crash, and hold the next start up,
    for up to five minutes when it was not the first.
    """
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no other process is started
