"""What LiveKit's rooms really hold, beside what webhooks said of them.

A webhook may get lost. So every room is laid beside its session now and then: one without a session
gets it, and one whose session seems to know something else is looked at by the operator. Several
gateways may do so at once: what they find leads through the same reception as a webhook.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from voicepod.gateway.directory import Directory
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.reception import Reception, Visit
from voicepod.gateway.seldom import Seldom
from voicepod.kube.errors import KubeError, NotFound, Refused
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import LiveKitError
from voicepod.livekit.rooms import ListedRoom, Rooms

logger = logging.getLogger(__name__)

# In seconds: the longest that a call whose webhooks all got lost waits for its agent, and an agent
# for the end of a call. One list of all rooms is what it costs.
PERIOD: Final = 30.0

# In seconds, until a server is looked at again whose rooms, or whose sessions, could not be asked
# for: callers have waited for whoever was away, and one list of rooms is what it costs.
_AGAIN: Final = 5.0

# How many rooms are looked at before a webhook has its turn: two milliseconds' worth, and ten
# thousand are ninety.
_AT_ONCE: Final = 200

# In seconds, between two logs of a server that cannot be asked.
_LOG_PERIOD: Final = 300.0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Looks at all rooms of all LiveKit servers."""

    directory: Directory
    keyring: Keyring
    rooms: Callable[[Credentials], Rooms]
    reception: Reception
    metrics: Metrics
    _log: Seldom = field(default_factory=lambda: Seldom(_LOG_PERIOD))

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        # Gateways that start together do not look together.
        await asyncio.sleep(random.uniform(0, PERIOD))  # noqa: S311 - no secret
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + PERIOD
            missed = await self.once()
            while missed and loop.time() + _AGAIN < due:
                await asyncio.sleep(_AGAIN)
                missed = await self._look_at(missed)
            await asyncio.sleep(due - loop.time())

    async def once(self) -> set[Credentials]:
        """Look at every server once; return those for which it has to be done again."""
        # Calls of VoiceAgents that were deleted go on.
        agents = [*self.directory.agents.values(), *self.directory.departed.values()]
        known = map(self.keyring.credentials_of, agents)
        return await self._look_at({one for one in known if one is not None})

    async def _look_at(self, servers: set[Credentials]) -> set[Credentials]:
        """Look at servers; one that cannot be asked keeps nobody from the others."""
        missed = set()
        for credentials in servers:
            try:
                await self._look(credentials)
            except (LiveKitError, KubeError) as error:
                missed.add(credentials)
                if self._log.allows(credentials.url):
                    logger.warning("the rooms of %s cannot be swept: %s", credentials.url, error)
        return missed

    async def _look(self, credentials: Credentials) -> None:
        # Before the list: a session that is made meanwhile has its room in no list yet.
        sessions = self.reception.open_sessions(credentials)
        rooms = await self.rooms(credentials).all()
        event = f"sweep-{self.reception.clock():.0f}"
        for number, room in enumerate(rooms):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            await self._found(self.reception.visit(event, room.name, room.sid, credentials), room)
        there = {room.sid for room in rooms}
        for session in sessions:
            if session.room_sid and session.room_sid not in there:
                visit = self.reception.visit(event, session.room, session.room_sid, credentials)
                self._note(await self.reception.changed(visit))

    async def _found(self, visit: Visit, room: ListedRoom) -> None:
        # What is refused for one room is told on its VoiceAgent, and goes on to be for that one.
        with suppress(Refused, NotFound):
            self._note(await self.reception.found(visit, room.participants))

    def _note(self, outcome: Outcome) -> None:
        if outcome in (Outcome.CREATED, Outcome.TOUCHED):
            self.metrics.swept(outcome)
