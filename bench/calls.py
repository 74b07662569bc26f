"""One timed call, the same for all ways to an agent."""

import asyncio
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

import aiohttp
from livekit import rtc

from bench import story
from bench.quiet import quiet
from bench.servers import Server
from local.caller import Caller, join_token
from local.errors import LocalError
from voicepod.assignment.errors import PodError
from voicepod.kube.errors import KubeError
from voicepod.livekit.errors import LiveKitError
from voicepod.livekit.rooms import Rooms

# Seconds until a call without an agent counts as failed; an agent starts cold in a tenth of it.
PATIENCE = 60.0

# Seconds until a bench gives up on what it needs for the next call.
_SETUP_PATIENCE = 120.0

STEPS_PATIENCE = 10.0
"""Seconds until the steps of a call that has its agent are given up; its time counts anyway."""

TOKEN_ASKED = "token asked for"
"""The first step of a call."""

_LOOK_EVERY = 0.1

T = TypeVar("T")


class Way(ABC):
    """A way to an agent."""

    name: str
    what: str
    """In a few words, for the table."""
    server: Server
    """Where the caller joins."""
    prefix: str
    """What the names of its rooms begin with."""

    @abstractmethod
    async def ready(self) -> None:
        """Wait until the next call finds what this way promises: a warm agent, or none at all."""

    async def token(self, room: str) -> str:
        """Return what the caller joins with."""
        credentials = self.server.credentials
        return join_token(credentials.key, credentials.secret, room, "caller")

    async def steps(self, room: str) -> Mapping[str, float]:
        """Return when what happened on the way of the call that is on, in unix seconds."""
        return {}

    @abstractmethod
    async def over(self, room: str) -> None:
        """Wait until nothing of the call is left, now that its room is closed."""


@dataclass(slots=True)
class Sample:
    """A call."""

    way: str
    round: int
    busy: float
    """Share of the machine's CPUs that were busy in the second before."""
    began: float
    """When its token was asked for, in unix seconds."""
    published: float | None = None
    """Milliseconds from the caller's ``connect()`` to the news of the agent's audio track."""
    steps: dict[str, float] = field(default_factory=dict)
    """All that is known of the call, in milliseconds since that ``connect()``."""
    failure: str = ""


async def measure(way: Way, number: int, rooms: Callable[[Server], Rooms]) -> Sample:
    """Make one call and take it down again."""
    room = f"{way.prefix}{secrets.token_hex(4)}"
    log = way.server.log
    await way.ready()
    sample = Sample(way.name, number, busy=await quiet(), began=time.time())
    log_start = log.stat().st_size
    told: Mapping[str, float] = {}
    try:
        caller = Caller(way.server.credentials.url, await way.token(room))
        async with asyncio.timeout(PATIENCE), caller:
            track = await caller.agent_track()
            with suppress(LocalError):  # A step that nobody has noted is no failed call.
                told = await way.steps(room)
    except TimeoutError:
        sample.failure = f"no agent within {PATIENCE:.0f} s, or no token in time"
    except (OSError, rtc.ConnectError, aiohttp.ClientError) as error:
        sample.failure = str(error) or type(error).__name__
    else:
        happened = {
            TOKEN_ASKED: sample.began,
            **told,
            **story.read(log, log_start, room),
            "connected": caller.joined,
            "published": track.published,
            "subscribed": track.subscribed,
        }
        sample.steps = {
            what: round((at - caller.dialed) * 1000, 1)
            for what, at in sorted(happened.items(), key=lambda item: item[1])
        }
        sample.published = sample.steps["published"]

    await take_down(way, room, rooms)
    return sample


async def take_down(way: Way, room: str, rooms: Callable[[Server], Rooms]) -> None:
    """Close a call's room, and wait until nothing of it is left. Raises LocalError."""

    async def closed() -> bool:
        await rooms(way.server).close(room)
        return True

    await eventually(f"{room} is closed", closed)
    await way.over(room)


async def eventually(
    what: str, look: Callable[[], Awaitable[T | None]], within: float = _SETUP_PATIENCE
) -> T:
    """Look until there is something, and return it. Raises LocalError that says what was not.

    Whoever cannot be asked is asked again.
    """
    try:
        async with asyncio.timeout(within):
            while True:
                with suppress(KubeError, PodError, LiveKitError, aiohttp.ClientError):
                    if found := await look():
                        return found
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise LocalError(f"not within {within:.0f} s: {what}") from None
