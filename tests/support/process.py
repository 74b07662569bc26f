"""A process of ours that runs within the test's own, and is asked over HTTP."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest

# Below those that the kernel gives to connections: one of them may have a port as soon as it is
# found to be free. Each once: a process that is given two must not find them to be one.
_PORTS = iter(random.sample(range(10_000, 30_000), k=20_000))


def free_port() -> int:
    """Return a port that nobody listens on, another one each time."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


@asynccontextmanager
async def running(
    run: Coroutine[None, None, None], http: aiohttp.ClientSession
) -> AsyncIterator[None]:
    """The process, from when it is ready until SIGTERM has ended it."""
    task = asyncio.ensure_future(run)
    await until(http, "/readyz", 200)
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await task


async def until(http: aiohttp.ClientSession, path: str, status: int) -> None:
    """Wait until a path has a status."""
    async for _ in attempts():
        if await ask(http, path) == status:
            return


async def ask(http: aiohttp.ClientSession, path: str) -> int:
    """Return the status of a path; 0 while nobody listens."""
    try:
        async with http.get(path) as response:
            return response.status
    except aiohttp.ClientConnectionError:
        return 0


async def attempts() -> AsyncIterator[None]:
    """A hundred a second; fails after twenty seconds."""
    for _ in range(2000):
        yield
        await asyncio.sleep(0.01)
    pytest.fail("it did not come true within 20 s")
