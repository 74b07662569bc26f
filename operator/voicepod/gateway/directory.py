"""What there is: VoiceAgents and VoiceSessions, filled by lists and watches, read without waiting.

It may be a moment behind, and it may hold what is gone: whoever acts on it must be right then,
too.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Final, TypeVar

from voicepod.gateway.objects import Agent, Key, Session, parse_agent, parse_session
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS, Kube, Object, Resource, scopes
from voicepod.kube.lists import Versions

logger = logging.getLogger(__name__)

T = TypeVar("T")

# As many calls as there may be at once: the rooms that are forgotten beyond it are long closed.
_PARTINGS: Final = 10_000

# As many calls end within a quarter of an hour if ten do each second; a list takes a minute, and an
# answer seconds.
_DEPARTURES: Final = 10_000


class Directory:
    """The VoiceAgents and VoiceSessions of the watched namespaces."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` returns Unix seconds."""
        self._clock = clock
        self.agents: dict[Key, Agent] = {}
        self.departed: dict[Key, Agent] = {}
        """VoiceAgents that were deleted: they get no room any more, but their live calls go on, and
        the operator has to be told when a caller leaves."""
        self.filled = False
        """Whether everything was listed once."""
        self._sessions: dict[Key, Session] = {}
        self._in_room: dict[str, dict[Key, Session]] = {}
        self._news: dict[Key, asyncio.Event] = {}
        """Of the sessions that somebody waits for."""
        self._partings: OrderedDict[str, float] = OrderedDict()
        """By the sids of rooms: when a session was ended that was deleted by now."""
        self._gone: OrderedDict[str, None] = OrderedDict()
        """Uids of what was told to be deleted. A list or an answer of before may still have it."""

    def sessions_in(self, room: str) -> list[Session]:
        """Return the sessions, unfinished or not, of a room with this name."""
        return list(self._in_room.get(room, {}).values())

    def unfinished_of(self, agents: Collection[Key]) -> list[Session]:
        """Return the sessions of some VoiceAgents that go on."""
        sessions = self._sessions.values()
        return [one for one in sessions if one.agent in agents and not one.finished]

    def parted(self, room: str, sid: str) -> float | None:
        """Return when a session of this very room was last ended though its caller was there.

        In Unix seconds; None if none was.
        """
        partings = [one.parted for one in self.sessions_in(room) if one.room_sid == sid]
        known = [when for when in (*partings, self._partings.get(sid)) if when is not None]
        return max(known, default=None)

    def has_session(self, key: Key) -> bool:
        """Whether there is a session with this namespace and name."""
        return key in self._sessions

    def see_agent(self, raw: Object, deleted: bool = False) -> None:
        """Take over a VoiceAgent."""
        metadata = raw["metadata"]
        key = metadata["namespace"], metadata["name"]
        known = self.agents.get(key)
        if deleted:
            self._bury(metadata["uid"])
            # The news of the end of a namesake may come after its successor.
            if known and known.uid == metadata["uid"]:
                self._depart(known)
            return
        if metadata["uid"] in self._gone:
            return
        if known and known.uid == metadata["uid"] and known.generation >= metadata["generation"]:
            # Its status changes with every call; its rules were compiled already.
            return
        try:
            self.agents[key] = parse_agent(raw)
            self.departed.pop(key, None)
        except ValueError as error:
            logger.warning("VoiceAgent %s/%s is not understood: %s", *key, error)
            self.agents.pop(key, None)

    def _depart(self, agent: Agent) -> None:
        del self.agents[agent.key]
        self.departed[agent.key] = agent

    def see_session(self, raw: Object, deleted: bool = False) -> None:
        """Take over a VoiceSession."""
        session = parse_session(raw)
        known = self._sessions.get(session.key)
        if deleted:
            self._bury(session.uid)
            if known and known.uid == session.uid:
                self._part(session)
                self.forget_session(session.key)
        elif session.uid not in self._gone and (known is None or known.version < session.version):
            if known and known.room != session.room:
                self.forget_session(session.key)
            self._sessions[session.key] = session
            self._in_room.setdefault(session.room, {})[session.key] = session
            self._tell(session.key)

    def _part(self, session: Session) -> None:
        """Keep in mind that a room's session was ended, by its deletion or before."""
        when = session.parted if session.end_reason else self._clock()
        if when is not None and session.room_sid:
            _note(self._partings, session.room_sid, when, _PARTINGS)

    def _bury(self, uid: str) -> None:
        """Keep in mind that an object was deleted."""
        _note(self._gone, uid, None, _DEPARTURES)

    def forget_session(self, key: Key) -> None:
        """Drop a session that turned out to be gone."""
        session = self._sessions.pop(key, None)
        if session:
            in_room = self._in_room[session.room]
            del in_room[key]
            if not in_room:
                del self._in_room[session.room]
            self._tell(key)

    async def until(self, key: Key, so: Callable[[Session | None], bool]) -> Session | None:
        """Wait until a session is as ``so`` says, and return it; None stands for one that is gone.

        It may wait for ever.
        """
        while not so(session := self._sessions.get(key)):
            await self._news.setdefault(key, asyncio.Event()).wait()
        return session

    def _tell(self, key: Key) -> None:
        if news := self._news.pop(key, None):
            news.set()

    async def fill(self, kube: Kube, namespaces: Collection[str], pause: float = 0.0) -> Versions:
        """List everything, and forget what was known before and is not there any more.

        A watch that had to start anew never tells what vanished meanwhile. ``pause`` is how many
        seconds are between two pages. Returns of when the lists are that watches go on from. Raises
        an exception of ``kube.errors``.
        """
        sessions = dict(self._sessions)
        await self._fill_agents(kube, namespaces)
        listed: dict[tuple[Resource, str | None], str] = {}
        for namespace in scopes(namespaces):
            async for page in kube.pages(VOICE_SESSIONS, namespace, pause=pause):
                listed[VOICE_SESSIONS, namespace] = page.version
                for raw in page.items:
                    self.see_session(raw)
                    sessions.pop((raw["metadata"]["namespace"], raw["metadata"]["name"]), None)
        for key, session in sessions.items():
            if self._sessions.get(key) is session:
                self.forget_session(key)
        self._forget_departed()
        self.filled = True
        return listed

    async def fill_few(self, kube: Kube, namespaces: Collection[str]) -> None:
        """Do so with VoiceAgents alone."""
        await self._fill_agents(kube, namespaces)
        self._forget_departed()

    async def _fill_agents(self, kube: Kube, namespaces: Collection[str]) -> None:
        agents = dict(self.agents)
        for namespace in scopes(namespaces):
            for raw in await kube.list_all(VOICE_AGENTS, namespace):
                self.see_agent(raw)
                agents.pop((raw["metadata"]["namespace"], raw["metadata"]["name"]), None)
        for key, agent in agents.items():
            if self.agents.get(key) is agent:
                self._depart(agent)

    def _forget_departed(self) -> None:
        busy = {session.agent for session in self._sessions.values() if not session.finished}
        for key in self.departed.keys() - busy:
            del self.departed[key]


def _note(book: OrderedDict[str, T], key: str, value: T, most: int) -> None:
    """Keep something in mind, and forget the oldest where there are more than ``most``."""
    book[key] = value
    book.move_to_end(key)
    if len(book) > most:
        book.popitem(last=False)
