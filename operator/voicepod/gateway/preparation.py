"""Prepares a call before its caller comes: its session is made, and its agent waited for.

The operator opens the room, and the agent is in it when the caller arrives. Whoever then never
comes costs a pod for the ``startDeadline`` of the VoiceAgent.
"""

import asyncio
from dataclasses import dataclass

from voicepod.gateway.directory import Directory
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.objects import Agent, Key, Session
from voicepod.gateway.sessions import Sessions, Wanted
from voicepod.livekit.credentials import Credentials


class OverError(Exception):
    """The session was over before its caller could come; the message says why."""


class FullError(Exception):
    """The session got no place; the message says why."""


class StillEndingError(Exception):
    """The room's last session is saying goodbye; there can be a new one after it."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """Makes the session of a call, unless the room has one, and waits for its agent."""

    directory: Directory
    keyring: Keyring
    sessions: Sessions
    patience: float
    """In seconds: how long the caller is kept waiting for the agent."""

    async def prepare(self, wanted: Wanted, credentials: Credentials) -> bool:
        """Return whether the agent is in the room; if not, it is on its way.

        Raises OverError, FullError, StillEndingError, or an exception of ``kube.errors``.
        """
        deadline = asyncio.get_running_loop().time() + self.patience
        key = await self._session(wanted, credentials, deadline)
        try:
            async with asyncio.timeout_at(deadline):
                seen = await self.directory.until(key, _decided)
        except TimeoutError:
            return False
        if seen is None:
            raise OverError("it was deleted")
        if seen.turned_away:
            raise FullError(seen.reason)
        if seen.finished or seen.ending:
            raise OverError(seen.reason)
        return True

    async def _session(self, wanted: Wanted, credentials: Credentials, deadline: float) -> Key:
        """Return the key of the room's unfinished session, which is made if there is none."""
        # A VoiceAgent may be deleted while its calls go on.
        agents = (
            *self.keyring.agents_of(credentials),
            *self.keyring.departed_of(credentials),
        )
        while True:
            session = self._unfinished(wanted.room, agents)
            if session is None:
                if key := await self.sessions.create(wanted):
                    return key
            elif session.ending:
                await self._end_of(session, deadline)
            else:
                return session.key

    def _unfinished(self, room: str, agents: tuple[Agent, ...]) -> Session | None:
        """Return the session that a room of this LiveKit project has; one that ends comes last."""
        ours = {agent.key for agent in agents}
        sessions = [
            session
            for session in self.directory.sessions_in(room)
            if session.agent in ours and not session.finished
        ]
        return min(sessions, key=lambda session: session.ending, default=None)

    async def _end_of(self, session: Session, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self.directory.until(session.key, lambda seen: not seen or seen.finished)
        except TimeoutError:
            raise StillEndingError from None


def _decided(session: Session | None) -> bool:
    return session is None or session.joined or session.finished or session.ending
