"""What to do about an event of a room: make its session, have the operator look at it, or nothing.

API writes are scarce, and so a session is only touched when the operator cannot know already:

- A caller joined, while the session's status shows none in the room: ``room_started`` makes the
  session some 50 ms before its caller is in the room, and the operator's first look finds nobody.
- A caller left, or the room is closed, and the session is not ending anyway.

And where it can be told without a write, it is. An agent's coming and going is told by its sidecar.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from livekit.protocol.webhook import WebhookEvent

from voicepod.api.agent import MAX_ROOM_NAME
from voicepod.api.names import ANNOTATION_ROOM_CHANGED
from voicepod.gateway.directory import Directory
from voicepod.gateway.hints import Hints
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.matching import choose
from voicepod.gateway.objects import Agent, Session, parse_session
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.sessions import Sessions, Wanted
from voicepod.kube.client import VOICE_SESSIONS, Kube
from voicepod.kube.errors import NotFound, Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms, is_caller
from voicepod.livekit.webhooks import MalformedEventError

logger = logging.getLogger(__name__)

# In seconds. An event that took longer than this was repeated or held up, and its room may be gone
# by now: LiveKit is asked before a pod is started for nobody.
_LATE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Visit:
    """An event of a room, and the VoiceAgents that it may concern."""

    event_id: str
    created_at: float
    room: str
    sid: str
    agents: Sequence[Agent]
    departed: Sequence[Agent]


@dataclass(frozen=True, slots=True)
class Reception:
    """Takes the events in."""

    kube: Kube
    directory: Directory
    keyring: Keyring
    rooms: Callable[[Credentials], Rooms]
    sessions: Sessions
    hints: Hints
    clock: Callable[[], float] = time.time

    async def take(self, event: WebhookEvent, signer: Credentials) -> Outcome:
        """Do what an event asks for.

        Raises MalformedEventError, or an exception of ``kube.errors`` or of ``livekit.errors``:
        nothing was done then, and the event may be taken again.
        """
        match event.event:
            case "room_started":
                return await self._opened(self._visit_of(event, signer))
            case "participant_joined" if is_caller(event.participant):
                return await self._joined(self._visit_of(event, signer))
            case "participant_left" | "participant_connection_aborted" if is_caller(
                event.participant
            ):
                return await self.changed(self._visit_of(event, signer))
            case "room_finished":
                return await self.changed(self._visit_of(event, signer))
            case _:
                return Outcome.IGNORED

    async def found(self, visit: Visit, participants: int) -> Outcome:
        """Do what a room asks for that is there, as nobody may have told of it."""
        session = self._unfinished_of(visit)
        if session is None:
            return await self._admit(visit, again=True) if participants else Outcome.EXISTS
        # Its agent and its caller, or nobody. Whoever is alone may be the caller of a session that
        # is gone, of which a watch that had to start anew has not told.
        as_known = participants >= 2 if session.caller_there else not participants
        if session.ending and participants and not await self._touch(session, visit):
            # So is one whose goodbye is over.
            return await self.found(visit, participants)
        return Outcome.EXISTS if as_known else await self.changed(visit)

    def open_sessions(self, signer: Credentials) -> list[Session]:
        """Return the unfinished sessions on the servers of a key pair."""
        agents = (*self.keyring.agents_of(signer), *self.keyring.departed_of(signer))
        return self.directory.unfinished_of({agent.key for agent in agents})

    def visit(self, event_id: str, room: str, sid: str, signer: Credentials) -> Visit:
        """Return what there is to know of an event that was seen now."""
        return Visit(
            event_id=event_id,
            created_at=self.clock(),
            room=room,
            sid=sid,
            agents=self.keyring.agents_of(signer),
            departed=self.keyring.departed_of(signer),
        )

    def _visit_of(self, event: WebhookEvent, signer: Credentials) -> Visit:
        room = event.room
        if not room.name or not room.sid:
            raise MalformedEventError(f"the event {event.event} names no room")
        visit = self.visit(event.id, room.name, room.sid, signer)
        return replace(visit, created_at=event.created_at)

    async def _opened(self, visit: Visit) -> Outcome:
        if self._sessions_of(visit) or self._parted(visit) is not None:
            return Outcome.EXISTS
        # When LiveKit's server is started anew, an agent that has lost its room opens it again by
        # itself, with its caller or without.
        reopened = any(not one.finished for one in self._namesakes(visit))
        return await self._admit(visit, again=reopened)

    async def _joined(self, visit: Visit) -> Outcome:
        session = self._unfinished_of(visit)
        if session is None:
            again = bool(self._sessions_of(visit)) or self._parted(visit) is not None
            return await self._admit(visit, caller=True, again=again)
        if session.ending:
            return Outcome.ENDING
        if session.caller_there:
            return Outcome.EXISTS
        touched = await self._touch(session, visit)
        if touched and not touched.finished and not touched.ending:
            return Outcome.TOUCHED
        # Gone, or its end was decided a moment before the caller came: decide anew.
        return await self._joined(visit)

    async def changed(self, visit: Visit) -> Outcome:
        """Have the operator look at a room that has changed, if it has a session that goes on."""
        touched = [
            await self._touch(session, visit)
            for session in self._sessions_of(visit)
            if not session.finished and not session.ending
        ]
        return Outcome.TOUCHED if any(touched) else Outcome.IGNORED

    def _standing(self, visit: Visit) -> tuple[list[Session], float | None]:
        """Return what a decision to make a session rests on."""
        return self._sessions_of(visit), self._parted(visit)

    def _unfinished_of(self, visit: Visit) -> Session | None:
        """Return the session of this very room that goes on."""
        return next((one for one in self._sessions_of(visit) if not one.finished), None)

    def _sessions_of(self, visit: Visit) -> list[Session]:
        """Return the sessions of this very room, however they were made, in any namespace.

        One that was made before its room was open names no sid: it is of the room as long as it is
        unfinished.
        """
        return [
            session
            for session in self._namesakes(visit)
            if session.room_sid == visit.sid or (not session.room_sid and not session.finished)
        ]

    def _namesakes(self, visit: Visit) -> list[Session]:
        """Return the sessions of all rooms with this name.

        A session of another LiveKit project has a room of its own.
        """
        ours = {agent.key for agent in (*visit.agents, *visit.departed)}
        return [one for one in self.directory.sessions_in(visit.room) if one.agent in ours]

    async def _touch(self, session: Session, visit: Visit) -> Session | None:
        """Have the operator look at the room; return the session as it is then, None if gone."""
        if session.room_changed == visit.event_id or await self.hints.taken(session.key):
            return session
        annotations = {ANNOTATION_ROOM_CHANGED: visit.event_id}
        try:
            raw = await self.kube.patch(
                VOICE_SESSIONS, *session.key, {"metadata": {"annotations": annotations}}
            )
        except NotFound:
            self.directory.forget_session(session.key)
            return None
        self.directory.see_session(raw)
        return parse_session(raw)

    async def _admit(self, visit: Visit, caller: bool = False, again: bool = False) -> Outcome:
        """Make a session for a room that has none, or ``again`` none that is unfinished.

        Then only a caller in the room is reason enough.
        """
        if len(visit.room) > MAX_ROOM_NAME:
            logger.warning(
                "room %s has a name of %d characters; a session's has at most %d",
                visit.sid,
                len(visit.room),
                MAX_ROOM_NAME,
            )
            return Outcome.NAME_TOO_LONG
        before = self._standing(visit)
        asked = await self._asked(visit)
        dispatches = {**await self._dispatches(visit), **asked}
        choice = choose(visit.agents, visit.room, dispatches)
        if choice is None:
            logger.debug(
                "no VoiceAgent wants room %r: of %d with this API key, no rule matches its name "
                "or its dispatches %s",
                visit.room,
                len(visit.agents),
                sorted(dispatches),
            )
            return Outcome.UNWANTED
        if not await self._is_true(visit, choice.agent, caller_needed=again):
            return Outcome.IGNORED
        wanted = Wanted(
            choice,
            visit.room,
            visit.sid,
            metadata=dispatches.get(choice.claim.dispatch, ""),
            agent_name=choice.claim.dispatch if choice.claim.dispatch in asked else "",
        )
        # While LiveKit was asked, another webhook of the room may have been quicker.
        as_before = self._standing(visit) == before
        if as_before and await self.sessions.create(wanted):
            return Outcome.CREATED
        # Somebody else made it, and our watch may be a moment behind: decide with it.
        return await (self._joined(visit) if caller else self._opened(visit))

    async def _asked(self, visit: Visit) -> dict[str, str]:
        """Return what callers asked the token endpoint for in rooms of this name, as dispatches.

        A caller's token holds no dispatch, and LiveKit renews it during the call: they may come
        back with it hours later.
        """
        asked = {one.agent_name: one.key for one in self._namesakes(visit) if one.agent_name}
        found: dict[str, str] = {}
        for name, key in asked.items():
            with suppress(NotFound):
                session = await self.kube.get(VOICE_SESSIONS, *key)
                found[name] = session["spec"]["metadata"]
        return found

    async def _dispatches(self, visit: Visit) -> dict[str, str]:
        """Return the agent names that the room's dispatches ask for, each with its metadata.

        LiveKit is only asked when a rule needs the answer. Of VoiceAgents that reach it by several
        URLs one that works is enough.
        """
        askers = {one.livekit.url: one for one in visit.agents if one.rules.agent_names}
        answers = await asyncio.gather(
            *(self._rooms_of(agent).dispatches(visit.room) for agent in askers.values()),
            return_exceptions=True,
        )
        dispatches: dict[str, str] = {}
        failures: list[BaseException] = []
        for answer in answers:
            if isinstance(answer, BaseException):
                failures.append(answer)
            else:
                dispatches |= answer
        if failures and len(failures) == len(answers):
            raise failures[0]
        return dispatches

    async def _is_true(self, visit: Visit, agent: Agent, caller_needed: bool) -> bool:
        """Ask LiveKit about what the event says, where it may not be so any more."""
        if not caller_needed and self.clock() - visit.created_at < _LATE:
            return True
        room = await self._rooms_of(agent).look(visit.room)
        if room.sid != visit.sid:
            return False
        # Whose call was ended on purpose keeps their place in the room, and gets no agent for it.
        wanted = bool(room.callers) and room.last_joined >= (self._parted(visit) or 0.0)
        return wanted or not caller_needed

    def _parted(self, visit: Visit) -> float | None:
        return self.directory.parted(visit.room, visit.sid)

    def _rooms_of(self, agent: Agent) -> Rooms:
        credentials = self.keyring.credentials_of(agent)
        if credentials is None:
            raise Unavailable(f"the Secret of VoiceAgent {'/'.join(agent.key)} was just taken away")
        return self.rooms(credentials)
