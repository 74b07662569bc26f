"""What LiveKit's rooms really hold, and the two things the operator does to them."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, TypeVar

import aiohttp
from google.protobuf.message import DecodeError
from livekit.api.agent_dispatch_service import AgentDispatchService
from livekit.api.room_service import RoomService
from livekit.api.twirp_client import ServerError, ServerErrorCode
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    ListParticipantsRequest,
    ListRoomsRequest,
    RoomParticipantIdentity,
)

from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import LiveKitError, Unauthorized, Unreachable

# LiveKit answers within milliseconds; a caller waits for what is decided from the answer.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5)

# People and telephones. Agents, recorders and streams never count as callers.
_CALLER_KINDS: Final = frozenset(
    {ParticipantInfo.Kind.STANDARD, ParticipantInfo.Kind.SIP, ParticipantInfo.Kind.CONNECTOR}
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """What one room held when it was looked at. An empty ``sid`` means that there is no room."""

    name: str
    sid: str = ""
    callers: frozenset[str] = frozenset()
    """Identities of the people in it."""
    others: frozenset[str] = frozenset()
    """Identities of agents, recorders and streams in it."""
    last_joined: float = 0.0
    """When the last of the people in it came, in Unix seconds by LiveKit's clock."""


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """A room as the list of all rooms has it."""

    name: str
    sid: str
    participants: int
    """How many are in it, agents included."""


def is_caller(participant: ParticipantInfo) -> bool:
    """Whether a participant is a person that an agent should talk to."""
    return participant.kind in _CALLER_KINDS


class Rooms:
    """The rooms of one LiveKit project. Every method raises an exception of ``livekit.errors``."""

    def __init__(self, session: aiohttp.ClientSession, credentials: Credentials) -> None:
        who = (session, credentials.url, credentials.key, credentials.secret)
        self._url = credentials.url
        self._rooms = RoomService(*who)
        self._dispatches = AgentDispatchService(*who)

    async def look(self, name: str) -> Room:
        """Return what a room holds now."""
        rooms = await self._ask(self._rooms.list_rooms(ListRoomsRequest(names=[name])))
        if not rooms.rooms:
            return Room(name)
        # Not by the room's own number of participants: LiveKit may count five seconds late.
        try:
            participants = await self._ask(
                self._rooms.list_participants(ListParticipantsRequest(room=name))
            )
        except _NotFoundError:
            return Room(name)
        present = [
            p for p in participants.participants if p.state != ParticipantInfo.State.DISCONNECTED
        ]
        callers = [p for p in present if is_caller(p)]
        return Room(
            name=name,
            sid=rooms.rooms[0].sid,
            callers=frozenset(p.identity for p in callers),
            others=frozenset(p.identity for p in present if not is_caller(p)),
            last_joined=max((p.joined_at_ms / 1000 for p in callers), default=0.0),
        )

    async def all(self) -> list[ListedRoom]:
        """Return all rooms that are open."""
        answer = await self._ask(self._rooms.list_rooms(ListRoomsRequest()))
        return [ListedRoom(room.name, room.sid, room.num_participants) for room in answer.rooms]

    async def open(self, name: str) -> Room | None:
        """Open a room if it is not there; return it if nobody is in it, else None: look then."""
        room = await self._ask(self._rooms.create_room(CreateRoomRequest(name=name)))
        return None if room.num_participants else Room(name, room.sid)

    async def close(self, name: str) -> None:
        """Close a room: everybody in it is disconnected. A room that is gone is closed."""
        try:
            await self._ask(self._rooms.delete_room(DeleteRoomRequest(room=name)))
        except _NotFoundError:
            return

    async def remove(self, name: str, identity: str) -> None:
        """Put a participant out of a room; one who is gone is out."""
        try:
            await self._ask(
                self._rooms.remove_participant(
                    RoomParticipantIdentity(room=name, identity=identity)
                )
            )
        except _NotFoundError:
            return

    async def dispatches(self, name: str) -> dict[str, str]:
        """Return the names of the agents that a room's dispatches ask for, each with its metadata.

        LiveKit gives each room that asks for nobody one dispatch without a name; it doesn't count.
        """
        try:
            dispatches = await self._ask(self._dispatches.list_dispatch(room_name=name))
        except Unreachable:
            # For a room that is not there LiveKit waits three seconds for somebody who has it.
            if (await self.look(name)).sid:
                raise
            return {}
        return {d.agent_name: d.metadata for d in dispatches if d.agent_name}

    async def check(self) -> None:
        """Ask something small, to learn whether the server is there and accepts the key."""
        await self._ask(self._rooms.list_rooms(ListRoomsRequest(names=["voicepod-check"])))

    async def _ask(self, question: Awaitable[T]) -> T:
        try:
            return await question
        except ServerError as error:
            if error.code == ServerErrorCode.NOT_FOUND:
                raise _NotFoundError(error.message) from error
            words = f"{error.status} {error.message}".strip()
            # By the status: a key that is not known, or a wrong secret, is refused before anything
            # that speaks Twirp is asked, and so without a code.
            if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise Unauthorized(
                    f"LiveKit at {self._url} does not accept the API key and its secret: {words}"
                ) from error
            raise Unreachable(f"LiveKit at {self._url} answers {words}") from error
        except DecodeError as error:
            raise Unreachable(f"what answers at {self._url} is not LiveKit") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            words = str(error) or type(error).__name__
            raise Unreachable(f"LiveKit at {self._url} is not reachable: {words}") from error


class _NotFoundError(LiveKitError):
    pass


def client_session(traces: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """Return an HTTP session for ``Rooms``, to be closed; ``traces`` are told of its requests."""
    return aiohttp.ClientSession(timeout=_TIMEOUT, trace_configs=list(traces))
