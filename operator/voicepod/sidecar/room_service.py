"""LiveKit's server API as the agent sees it: ``ctx.api`` of its SDK, for its own room and no other.

The agent's calls come signed with a key that LiveKit does not know; they go on with the token for
the room, which is what keeps them inside it. Whatever that token cannot do is refused here, with a
sentence that tells why.
"""

import logging
from typing import Any, Final

from aiohttp import web
from google.protobuf import json_format, message_factory
from google.protobuf.message import DecodeError, Message

from voicepod.sidecar.protocol import models
from voicepod.sidecar.protocol import room as messages
from voicepod.sidecar.room import PROTOBUF, Room, RoomUnreachable
from voicepod.sidecar.supervisor import Supervisor

logger = logging.getLogger(__name__)

_JSON: Final = "application/json"
_SERVICE: Final = messages.DESCRIPTOR.services_by_name["RoomService"]

_ANSWERED: Final = frozenset({"ListRooms", "DeleteRoom"})

# The calls that a token with ``roomAdmin`` for a room may do to that room.
_FORWARDED: Final = frozenset(
    {
        "ListParticipants",
        "GetParticipant",
        "RemoveParticipant",
        "MutePublishedTrack",
        "UpdateParticipant",
        "UpdateSubscriptions",
        "SendData",
        "UpdateRoomMetadata",
    }
)

# Twirp's codes for the errors made here, with the HTTP status that Twirp gives each.
_STATUS: Final = {"permission_denied": 403, "malformed": 400, "unavailable": 503}


class _TwirpError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RoomService:
    """``POST /twirp/{service}/{method}``."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def call(self, request: web.Request) -> web.Response:
        """Answer one call."""
        service, method = request.match_info["service"], request.match_info["method"]
        try:
            if service != "livekit.RoomService":
                raise _TwirpError(
                    "permission_denied", f"{service} is not open to an agent: no token limits it"
                )
            return await self._answer(method, await request.read(), request.content_type)
        except _TwirpError as error:
            logger.info("refused the agent's call of %s: %s", method, error)
            answer = {"code": error.code, "msg": str(error)}
            return web.json_response(answer, status=_STATUS[error.code])

    async def _answer(self, method: str, body: bytes, content_type: str) -> web.Response:
        room = self._supervisor.room
        if room is None:
            raise _TwirpError("unavailable", "this pod has no call yet, and so no room")
        if method not in _ANSWERED | _FORWARDED:
            raise _TwirpError("permission_denied", f"{method} is not open to an agent")
        asked = _parse(method, body, content_type)
        if isinstance(asked, messages.ListRoomsRequest):
            return _render(await self._list_rooms(room, list(asked.names)), content_type)
        if asked.room != room.ref.name:
            raise _TwirpError(
                "permission_denied", f"{method} is open for the agent's own room {room.ref.name!r}"
            )
        if method == "DeleteRoom":
            # No token for one room can delete it: the operator does.
            self._supervisor.request_room_deletion()
            return _render(messages.DeleteRoomResponse(), content_type)
        try:
            answer = await room.call(method, body, content_type)
        except RoomUnreachable as error:
            raise _TwirpError("unavailable", str(error)) from error
        return web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type
        )

    async def _list_rooms(self, room: Room, names: list[str]) -> messages.ListRoomsResponse:
        """Tell what can be told of the own room: listing rooms takes a token that sees them all."""
        if names and room.ref.name not in names:
            return messages.ListRoomsResponse()
        try:
            there = await room.participants()
        except RoomUnreachable as error:
            raise _TwirpError("unavailable", str(error)) from error
        own = models.Room(
            sid=room.ref.sid,
            name=room.ref.name,
            num_participants=len(there),
            num_publishers=sum(each.is_publisher for each in there),
        )
        return messages.ListRoomsResponse(rooms=[own])


def _parse(method: str, body: bytes, content_type: str) -> Any:
    kind = message_factory.GetMessageClass(_SERVICE.methods_by_name[method].input_type)
    try:
        if content_type == PROTOBUF:
            return kind.FromString(body)
        if content_type == _JSON:
            return json_format.Parse(body, kind(), ignore_unknown_fields=True)
    except (DecodeError, json_format.ParseError) as error:
        raise _TwirpError("malformed", f"the body is no {kind.DESCRIPTOR.name}: {error}") from error
    raise _TwirpError("malformed", f"the body is neither {PROTOBUF} nor {_JSON}")


def _render(answer: Message, content_type: str) -> web.Response:
    if content_type == PROTOBUF:
        return web.Response(body=answer.SerializeToString(), content_type=PROTOBUF)
    # As Go's Twirp servers write it: the names of the .proto files, and zero values as well.
    text = json_format.MessageToJson(
        answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return web.Response(text=text, content_type=_JSON)
