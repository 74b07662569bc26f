"""LiveKit: rooms that open and close, and whoever is in them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from tests.simulation.trace import Trace
from voicepod.livekit.rooms import ListedRoom, Room

# In seconds, as livekit-server has them by default: how long a room stays open in which nobody was
# yet, and one whose last caller has left. An agent alone keeps no room open.
_EMPTY: Final = 300.0
_DEPARTED: Final = 20.0

# In seconds: when LiveKit misses a participant who is gone without a word.
_MISSED: Final = 21.0


@dataclass(slots=True, eq=False)
class Participant:
    """Somebody in a room."""

    identity: str
    agent: bool
    room: "OpenRoom"
    put_out: Callable[[str], None]
    """Called when LiveKit puts them out, with the reason."""
    stirred: Callable[[], None]
    """Called when somebody else comes or goes."""
    sid: str
    joined_at: float
    gone: bool = False
    """They will not come back: their process is dead, which LiveKit may not know yet, or they have
    left."""
    speaks: bool = False


@dataclass(slots=True, eq=False)
class OpenRoom:
    """A room."""

    name: str
    sid: str
    participants: dict[str, Participant] = field(default_factory=dict)
    lonely_until: float = 0.0
    """When it is closed, unless a caller comes."""

    @property
    def callers(self) -> list[Participant]:
        """Those who are no agents."""
        return [one for one in self.participants.values() if not one.agent]

    @property
    def live_agents(self) -> list[Participant]:
        """Agents whose process is there."""
        return [one for one in self.participants.values() if one.agent and not one.gone]


Teller = Callable[[str, OpenRoom, Participant | None], None]
"""Called with the name of each webhook's event, the room, and the participant it is about."""


class LiveKit:
    """One server."""

    def __init__(self, clock: Callable[[], float], trace: Trace) -> None:
        """``clock`` returns Unix seconds."""
        self.rooms: dict[str, OpenRoom] = {}
        self.tellers: list[Teller] = []
        self._clock = clock
        self._trace = trace
        self._ids = count(1)

    # What clients do

    def join(
        self,
        name: str,
        identity: str,
        agent: bool = False,
        put_out: Callable[[str], None] = lambda reason: None,
        stirred: Callable[[], None] = lambda: None,
    ) -> Participant:
        """Have somebody join a room, which is opened if it is not there.

        Whoever is in it under the same identity has to go.
        """
        room = self._room_for(name, identity)
        sid = f"PA_{next(self._ids)}"
        one = Participant(identity, agent, room, put_out, stirred, sid, self._clock())
        self._enter(room, one)
        return one

    def leave(self, one: Participant) -> None:
        """Have somebody leave."""
        one.gone = True
        if one.room.participants.get(one.identity) is one:
            self._trace.say(one.identity, "leaves", one.room.name)
            self._remove(one)

    def vanish(self, one: Participant) -> None:
        """Have somebody's process die, which LiveKit sees later."""
        if not one.gone:
            self._trace.say(one.identity, "vanishes from", one.room.name)
            one.gone = True
            asyncio.get_running_loop().call_later(_MISSED, self.leave, one)

    def restart(self, comes_back: Callable[[Participant], float | None]) -> None:
        """Forget all rooms. Clients connect again, and find a room of the same name.

        ``comes_back`` returns in how many seconds somebody does, or None if they do not.
        """
        self._trace.say("livekit", "is started anew")
        loop, rooms, self.rooms = asyncio.get_running_loop(), self.rooms, {}
        for room in rooms.values():
            for one in room.participants.values():
                delay = comes_back(one)
                if delay is None:
                    one.put_out("SERVER_SHUTDOWN")
                else:
                    loop.call_later(delay, self._come_back, one)
            room.participants.clear()

    # What the API does

    def look(self, name: str) -> Room:
        """Return what a room holds."""
        room = self.rooms.get(name)
        if room is None:
            return Room(name)
        agents = frozenset(one.identity for one in room.participants.values() if one.agent)
        callers = frozenset(room.participants) - agents
        joined = max((room.participants[caller].joined_at for caller in callers), default=0.0)
        return Room(name, room.sid, callers, agents, joined)

    def all(self) -> list[ListedRoom]:
        """Return all rooms that are open."""
        return [ListedRoom(one.name, one.sid, len(one.participants)) for one in self.rooms.values()]

    def open(self, name: str) -> Room | None:
        """Open a room; None if somebody is in it."""
        room = self.rooms.get(name) or self._open(name, _EMPTY)
        return None if room.participants else Room(name, room.sid)

    def close(self, name: str) -> None:
        """Close a room, and put everybody out."""
        if room := self.rooms.pop(name, None):
            self._trace.say("livekit", "closes", name, room.sid)
            for one in list(room.participants.values()):
                self._out(one, "ROOM_DELETED")
            self._tell("room_finished", room, None)

    def remove(self, name: str, identity: str) -> None:
        """Put somebody out of a room."""
        room = self.rooms.get(name)
        if room and (one := room.participants.get(identity)):
            self._out(one, "PARTICIPANT_REMOVED")

    # What follows

    def _room_for(self, name: str, identity: str) -> OpenRoom:
        """Return the room of a name, without anybody of this identity in it."""
        room = self.rooms.get(name) or self._open(name, _EMPTY)
        if earlier := room.participants.get(identity):
            self._out(earlier, "DUPLICATE_IDENTITY")
        return room

    def _enter(self, room: OpenRoom, one: Participant) -> None:
        room.participants[one.identity] = one
        self._trace.say(one.identity, "joins", room.name, room.sid)
        self._tell("participant_joined", room, one)
        self._stir(room)

    def _come_back(self, one: Participant) -> None:
        if not one.gone:
            one.room = self._room_for(one.room.name, one.identity)
            one.sid, one.joined_at = f"PA_{next(self._ids)}", self._clock()
            self._enter(one.room, one)

    def _open(self, name: str, stays: float) -> OpenRoom:
        room = self.rooms[name] = OpenRoom(name, f"RM_{next(self._ids)}")
        self._trace.say("livekit", "opens", name, room.sid)
        self._tell("room_started", room, None)
        self._doubt(room, stays)
        return room

    def _out(self, one: Participant, reason: str) -> None:
        self._trace.say("livekit", "puts", one.identity, "out of", one.room.name, reason)
        self._remove(one)
        if not one.gone:
            one.put_out(reason)

    def _remove(self, one: Participant) -> None:
        room = one.room
        del room.participants[one.identity]
        self._tell("participant_left", room, one)
        self._stir(room)
        if not room.callers:
            self._doubt(room, _DEPARTED)

    def _stir(self, room: OpenRoom) -> None:
        for one in list(room.participants.values()):
            one.stirred()

    def _doubt(self, room: OpenRoom, seconds: float) -> None:
        """Close a room after a while if no caller is there then, nor was in between."""
        loop = asyncio.get_running_loop()
        room.lonely_until = loop.time() + seconds
        loop.call_at(room.lonely_until, self._close_lonely, room, room.lonely_until)

    def _close_lonely(self, room: OpenRoom, until: float) -> None:
        if self.rooms.get(room.name) is room and room.lonely_until == until and not room.callers:
            self.close(room.name)

    def _tell(self, event: str, room: OpenRoom, one: Participant | None) -> None:
        for tell in self.tellers:
            tell(event, room, one)
