"""A process of ours that runs within the test's own, and is asked over HTTP."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import aiohttp
import pytest


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


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
