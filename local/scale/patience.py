"""Asking again, where whoever is asked is a moment behind or has too much to do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from livekit.api.twirp_client import ServerError

from voicepod.assignment.errors import PodUnreachable
from voicepod.kube.errors import Unavailable

T = TypeVar("T")

PAUSE = 0.1
"""Seconds between attempts."""

_ATTEMPTS = 300


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Return the answer; raises what the last attempt did."""
    for _ in range(_ATTEMPTS):
        try:
            return await ask()
        except (Unavailable, PodUnreachable, ServerError):
            # A LiveKit server that has too much to do says that there is none.
            await asyncio.sleep(PAUSE)
    return await ask()
