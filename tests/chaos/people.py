"""The callers: each slot makes one call after another, as its own chance has it."""

import asyncio
import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from livekit import rtc

from local.caller import Caller, join_token
from local.cluster import Cluster
from tests.chaos.verdict import PATIENCE, Call, Outages, voices

# Seconds that a caller means to talk: most strikes meet several calls, and most calls several.
_TALKS = (20.0, 60.0)

# Of those who hang up early, agent or not: one in so many, after these seconds.
_IMPATIENT = 8
_GIVES_UP = (0.5, 5.0)

# Seconds between two calls of a slot, and between two things that a caller says.
_REST = (1.0, 5.0)
_SAYS = 6.0

_LOOK_EVERY = 0.2

# Seconds until a caller whose SDK gave up, or who was not let in, dials again.
_REDIAL = 1.0

# Seconds that the SDK may take to say goodbye to a server that is not there.
_GOODBYE = 5.0

# Who is told one of these has no call any more; after any other, a client joins again.
_PUT_OUT = frozenset(
    {
        rtc.DisconnectReason.DUPLICATE_IDENTITY,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
    }
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a caller means to do: talk for so many seconds, and mind or not if no agent is there."""

    talks: float
    patient: bool

    @classmethod
    def drawn(cls, chance: random.Random) -> "Plan":
        """Draw one."""
        if chance.randrange(_IMPATIENT) == 0:
            return cls(chance.uniform(*_GIVES_UP), patient=False)
        return cls(chance.uniform(*_TALKS), patient=True)


@dataclass(frozen=True, slots=True)
class People:
    """All callers, and what is known of their calls."""

    cluster: Cluster
    prefix: str
    calls: list[Call]
    outages: Outages
    tell: Callable[[str], None]

    async def slot(self, name: str, chance: random.Random, until: asyncio.Event) -> None:
        """Make calls until the event; the last of them is finished then."""
        number = 0
        while not until.is_set():
            number += 1
            room = f"{self.prefix}{name}{number}"
            call = Call(room)
            self.calls.append(call)
            await self._call(call, Plan.drawn(chance))
            with suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), chance.uniform(*_REST))

    async def _call(self, call: Call, plan: Plan) -> None:
        key, secret = self.cluster.livekit_api_key, self.cluster.livekit_api_secret
        while not call.left:
            token = join_token(key, secret, call.room, "caller")
            caller, before = Caller(self.cluster.livekit_url, token), call.voices
            try:
                async with caller:
                    call.joined = call.joined or caller.joined
                    await self._stay(call, plan, caller)
            except rtc.ConnectError:
                await asyncio.sleep(_REDIAL)
            call.voices = before + voices(caller.agent_tracks, caller.down, call.left or math.inf)
            if not call.left and self._is_at_the_end(call):
                call.left = time.time()

    async def _stay(self, call: Call, plan: Plan, caller: Caller) -> None:
        """Stay until the caller hangs up, or is out of the room."""
        before = call.voices
        talking = asyncio.create_task(_talk(caller))
        dropped = asyncio.create_task(caller.dropped())
        try:
            while not dropped.done():
                await asyncio.wait((dropped,), timeout=_LOOK_EVERY)
                call.voices = before + voices(caller.agent_tracks, caller.down)
                if self._is_content(call, plan):
                    call.left = time.time()
                    return
        finally:
            for task in (talking, dropped):
                task.cancel()
            await asyncio.gather(talking, dropped, return_exceptions=True)
        if (reason := dropped.result()) in _PUT_OUT:
            call.left, call.put_out = time.time(), rtc.DisconnectReason.Name(reason)
            self.tell(f"{call.room} was put out: {call.put_out}")
        else:
            call.rejoined += 1

    def _is_content(self, call: Call, plan: Plan) -> bool:
        """Whether the caller hangs up now."""
        if time.time() - call.joined < plan.talks:
            return False
        return call.hears_now() or not plan.patient or self._is_at_the_end(call)

    def _is_at_the_end(self, call: Call) -> bool:
        """Whether the caller's patience is."""
        if not call.joined or call.hears_now():
            return False
        since = max((voice.end for voice in call.voices), default=call.joined)
        return self.outages.waited((since, time.time())) > PATIENCE


async def _talk(caller: Caller) -> None:
    """Say something now and then, so that there is a conversation to be kept."""
    while True:
        await asyncio.sleep(_SAYS)
        with suppress(Exception):  # A line that is down carries nothing.
            # Not wait_for, which forgets a cancellation that comes with the answer.
            async with asyncio.timeout(_GOODBYE):
                await caller.send_chat("When do you open?")
