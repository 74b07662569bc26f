"""``Rooms`` against a LiveKit server of a few lines: its HTTP and protobuf are real."""

from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from google.protobuf.message import Message
from livekit.protocol.agent_dispatch import AgentDispatch, ListAgentDispatchResponse
from livekit.protocol.models import ParticipantInfo
from livekit.protocol.models import Room as RoomProto
from livekit.protocol.room import (
    DeleteRoomResponse,
    ListParticipantsResponse,
    ListRoomsResponse,
)

from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import LiveKitError, Unauthorized, Unreachable
from voicepod.livekit.rooms import Room, Rooms, client_session, is_caller

pytestmark = pytest.mark.unit

KIND = ParticipantInfo.Kind
STATE = ParticipantInfo.State

# As livekit-server refuses a key or a secret: before anything that speaks Twirp is asked.
PLAIN_401 = "401 in plain text"


class Server:
    """Answers each method with the message or the Twirp error that a test put there."""

    def __init__(self) -> None:
        self.answers: dict[str, Message | str] = {}

    async def answer(self, request: web.Request) -> web.Response:
        answer = self.answers[request.path.rsplit("/", 1)[-1]]
        if answer == PLAIN_401:
            return web.Response(status=401, text="invalid API key")
        if isinstance(answer, str):
            status = {"not_found": 404, "unauthenticated": 401}.get(answer, 500)
            return web.json_response({"code": answer, "msg": "its words"}, status=status)
        return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def rooms(server: Server) -> AsyncIterator[Rooms]:
    app = web.Application()
    app.router.add_post("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    credentials = Credentials(f"ws://{host}:{port}", "key", "a-secret-of-at-least-32-characters")
    async with client_session() as session:
        yield Rooms(session, credentials)
    await runner.cleanup()


def participant(
    identity: str,
    kind: ParticipantInfo.Kind,
    state: ParticipantInfo.State = STATE.ACTIVE,
    joined: float = 0.0,
) -> ParticipantInfo:
    return ParticipantInfo(
        identity=identity, kind=kind, state=state, joined_at_ms=round(joined * 1000)
    )


async def test_a_room_is_what_it_holds_now(server: Server, rooms: Rooms) -> None:
    server.answers = {
        "ListRooms": ListRoomsResponse(rooms=[RoomProto(name="a room", sid="RM_1")]),
        "ListParticipants": ListParticipantsResponse(
            participants=[
                participant("bob", KIND.STANDARD, joined=12.5),
                participant("phone", KIND.SIP, joined=13.75),
                participant("ada", KIND.AGENT, joined=20),
                participant("tape", KIND.EGRESS),
                participant("radio", KIND.INGRESS),
                participant("gone", KIND.STANDARD, STATE.DISCONNECTED),
            ]
        ),
    }
    assert await rooms.look("a room") == Room(
        "a room", "RM_1", frozenset({"bob", "phone"}), frozenset({"ada", "tape", "radio"}), 13.75
    )


@pytest.mark.parametrize("participants", [ListParticipantsResponse(), "not_found"])
async def test_a_room_that_is_not_there_has_no_sid(
    server: Server, rooms: Rooms, participants: Message | str
) -> None:
    server.answers = {"ListRooms": ListRoomsResponse(), "ListParticipants": participants}
    assert await rooms.look("a room") == Room("a room")


async def test_the_dispatch_that_livekit_gives_to_every_room_asks_for_nobody(
    server: Server, rooms: Rooms
) -> None:
    server.answers["ListDispatch"] = ListAgentDispatchResponse(
        agent_dispatches=[
            AgentDispatch(agent_name=""),
            AgentDispatch(agent_name="ada", metadata="about bob"),
        ]
    )
    assert await rooms.dispatches("a room") == {"ada": "about bob"}


async def test_a_room_that_is_not_there_has_no_dispatch(server: Server, rooms: Rooms) -> None:
    server.answers = {"ListDispatch": "unavailable", "ListRooms": ListRoomsResponse()}
    assert await rooms.dispatches("a room") == {}


async def test_dispatches_that_cannot_be_had_are_not_taken_for_none(
    server: Server, rooms: Rooms
) -> None:
    server.answers = {
        "ListDispatch": "unavailable",
        "ListRooms": ListRoomsResponse(rooms=[RoomProto(name="a room", sid="RM_1")]),
        "ListParticipants": ListParticipantsResponse(),
    }
    with pytest.raises(Unreachable, match="its words"):
        await rooms.dispatches("a room")


async def test_a_room_that_is_opened_has_a_sid(server: Server, rooms: Rooms) -> None:
    server.answers["CreateRoom"] = RoomProto(name="a room", sid="RM_1")
    assert await rooms.open("a room") == Room("a room", "RM_1")


@pytest.mark.parametrize("answer", [DeleteRoomResponse(), "not_found"])
async def test_a_room_that_is_gone_is_closed(
    server: Server, rooms: Rooms, answer: Message | str
) -> None:
    server.answers["DeleteRoom"] = answer
    await rooms.close("a room")


ASK: list[Callable[[Rooms], Awaitable[object]]] = [
    lambda rooms: rooms.look("a room"),
    lambda rooms: rooms.open("a room"),
    lambda rooms: rooms.close("a room"),
    lambda rooms: rooms.dispatches("a room"),
    lambda rooms: rooms.check(),
]
METHODS = ("ListRooms", "ListParticipants", "CreateRoom", "DeleteRoom", "ListDispatch")


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize(
    ("code", "error"), [("unauthenticated", Unauthorized), ("internal", Unreachable)]
)
async def test_a_refusal_says_which_server_and_why(
    server: Server,
    rooms: Rooms,
    ask: Callable[[Rooms], Awaitable[object]],
    code: str,
    error: type[LiveKitError],
) -> None:
    server.answers = dict.fromkeys(METHODS, code)
    with pytest.raises(error, match=r"LiveKit at ws://127\.0\.0\.1.*its words"):
        await ask(rooms)


@pytest.mark.parametrize("ask", ASK)
async def test_a_key_that_is_refused_in_plain_text_is_refused(
    server: Server, rooms: Rooms, ask: Callable[[Rooms], Awaitable[object]]
) -> None:
    server.answers = dict.fromkeys(METHODS, PLAIN_401)
    with pytest.raises(Unauthorized, match=r"LiveKit at ws://127\.0\.0\.1.*401"):
        await ask(rooms)


async def test_a_server_that_is_away_is_unreachable() -> None:
    async with aiohttp.ClientSession() as session:
        rooms = Rooms(session, Credentials("ws://127.0.0.1:1", "key", "s" * 32))
        with pytest.raises(Unreachable, match="not reachable"):
            await rooms.check()


@pytest.mark.parametrize("kind", KIND.values())
def test_people_and_telephones_are_callers_and_nobody_else(kind: ParticipantInfo.Kind) -> None:
    people = {KIND.STANDARD, KIND.SIP, KIND.CONNECTOR}
    assert is_caller(participant("someone", kind)) == (kind in people)
