"""One call that is interrupted: what its caller hears of it, and what the next agent knows."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import aiohttp
from livekit import rtc

from bench.calls import take_down
from bench.faults import Fault, strike
from bench.operated import Platform, Warm
from bench.quiet import quiet
from local.caller import AgentTrack, Caller
from local.errors import LocalError
from voicepod.assignment.errors import PodError
from voicepod.kube.errors import KubeError

# Seconds until a call counts as lost: neither two sentences of talk, nor a fault and as many after
# it, take half of it.
_PATIENCE = 60.0

# Each of them is one bad call, and no reason to make no further ones.
_FAILURES = (
    OSError,  # the room is gone
    LocalError,
    KubeError,
    PodError,
    rtc.ConnectError,
    aiohttp.ClientError,
)


@dataclass(slots=True)
class Interruption:
    """A call whose agent was lost. Times are in seconds since the fault."""

    fault: Fault
    round: int
    busy: float = 0.0
    """Share of the machine's CPUs that were busy in the second before."""
    published: float | None = None
    """When the next agent's audio track was announced to the caller."""
    heard: float | None = None
    """When the caller heard the first of its voice."""
    silence: float | None = None
    """For how long the caller heard nobody."""
    context: bool = False
    """Asked afterwards, it knew the name that the caller had told before the fault."""
    doubled: int = 0
    """How many agents could still be heard beside the one that came after them."""
    lost: list[str] = field(default_factory=list)
    """Why each agent counted as lost: more than one if a replacement was lost as well."""
    steps: dict[str, float] = field(default_factory=dict)
    """What is known of the way there."""
    failure: str = ""


async def interrupt(fault: Fault, number: int, platform: Platform, way: Warm) -> Interruption:
    """Make a call, strike its agent while it speaks, and see what comes of it.

    Whatever goes wrong stands in what is returned.
    """
    found = Interruption(fault, number)
    room = f"{way.prefix}{secrets.token_hex(4)}"
    try:
        await way.ready()
        caller = Caller(way.server.credentials.url, await way.token(room))
        async with caller:
            try:
                await _interrupted(found, caller, room, platform, way)
            finally:
                found.doubled = doubled(caller.agent_tracks)
    except TimeoutError:
        found.failure = f"the call did not go on within {_PATIENCE:.0f} s"
    except _FAILURES as error:
        found.failure = str(error) or type(error).__name__
    try:
        found.lost = [loss["message"] for loss in await platform.losses(room)]
        await take_down(way, room, platform.stage.rooms)
    except _FAILURES as error:
        found.failure = found.failure or str(error)
    return found


async def _interrupted(
    found: Interruption, caller: Caller, room: str, platform: Platform, way: Warm
) -> None:
    async with asyncio.timeout(_PATIENCE):
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        told = await caller.send_chat("My name is Robert.")
        await caller.read("Nice to meet you, Robert", after=told)
        await caller.heard_silence(after=told)
    await way.ready()
    found.busy = await quiet()
    async with asyncio.timeout(_PATIENCE):
        pod = await platform.pod_of(room)
        if pod is None:
            raise LocalError(f"{room} has no pod")
        agents = {track.agent for track in caller.agent_tracks}
        asked = await caller.send_chat("What are your opening hours?")
        await caller.heard_speech(after=asked)
        struck = await strike(found.fault, platform.stage.kube, pod)
        track = await caller.heard_another(agents)
        first = track.ear.utterances[0]
        found.published = track.published - struck
        found.heard = first.start - struck
        before = (each for each in caller.agent_tracks if each.agent in agents)
        found.silence = first.start - max(each.ear.loud_until for each in before)
        await caller.heard_silence(after=first.start)
        asked = await caller.send_chat("What is my name?")
        await caller.read("Your name is Robert", after=asked)
        found.context = True
        steps = await platform.takeover_steps(room)
        found.steps = {what: at - struck for what, at in steps.items()}


def doubled(tracks: Sequence[AgentTrack]) -> int:
    """Return how many agents were still there to be heard when a later one was.

    That is: LiveKit had announced the later one's audio track, and not told yet that theirs was
    gone. From what it has told on, nobody is sent any of their sound.
    """
    return sum(
        earlier.agent != later.agent and (earlier.ended is None or earlier.ended > later.published)
        for earlier, later in combinations(tracks, 2)
    )
