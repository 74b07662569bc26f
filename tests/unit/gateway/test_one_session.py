"""Webhooks and requests for tokens, at two gateways that hear of sessions late: one at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.fake_kube import Call
from tests.unit.gateway.stage import Answer, Stage
from voicepod.gateway.sessions import session_name
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

EVENTS = ("room_started", "participant_joined", "participant_left")
HAPPENINGS = (*EVENTS, "token", "hear", "end")

# In seconds: so old is a webhook that was sent while the API server was away, and LiveKit is asked
# whether it is still true.
HELD_UP = 20.0

Steps = list[tuple[int, str]]


@asynccontextmanager
async def two_gateways() -> AsyncIterator[tuple[Stage, Stage]]:
    one = Stage(patience=0)
    other = Stage(patience=0, beside=one)
    one.add_agent()
    async with AsyncExitStack() as stack:
        for stage in (one, other):
            stage.behind = []
            await stack.enter_async_context(stage.client)
        yield one, other


def unfinished(stage: Stage) -> list[str]:
    return [
        session["metadata"]["name"]
        for session in stage.sessions()
        if session.get("status", {}).get("phase") != "Ended"
    ]


class Lobby:
    """A room of one name, which is another one after each call."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._number = 0
        self.opened()

    @property
    def sid(self) -> str:
        return f"RM_{self._number}"

    def opened(self) -> None:
        self._number += 1
        self._stage.livekit.rooms["lobby"] = Room("lobby", self.sid, frozenset({"bob"}))


async def happen(what: str, stage: Stage, room: Lobby, age: float = 0) -> None:
    """Have something happen; a webhook is ``age`` seconds old when it comes."""
    match what:
        case "hear":
            stage.catch_up()
        case "end":
            if unfinished(stage):
                stage.set_status("Ended", roomSid=room.sid)
                room.opened()
        case "token":
            async with stage.client.post("/token", json={"room_name": "lobby"}) as response:
                assert response.status in (201, 503)
        case event:
            status, answer = await stage.send(event, sid=room.sid, age=age)
            assert status == 200, answer


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(HAPPENINGS)), max_size=12))
@example([(0, "token"), (1, "room_started"), (1, "participant_joined")])
@example([(0, "token"), (0, "end"), (1, "token"), (0, "participant_joined"), (1, "room_started")])
async def test_a_room_has_one_session_at_a_time_in_whatever_order_it_is_heard_of(
    steps: Steps,
) -> None:
    async with two_gateways() as gateways:
        room = Lobby(gateways[0])
        for gateway, what in steps:
            await happen(what, gateways[gateway], room)
            assert len(unfinished(gateways[0])) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from((*EVENTS, "token"))), max_size=8),
    st.sampled_from((0, HELD_UP)),
    st.booleans(),
)
@example([(0, "room_started"), (0, "participant_joined")], HELD_UP, False)
@example([(0, "room_started"), (1, "participant_joined")], HELD_UP, True)
async def test_a_room_has_one_session_when_all_comes_at_once(
    steps: Steps, age: float, heard: bool
) -> None:
    async with two_gateways() as gateways:
        for gateway in gateways:
            gateway.behind = None if heard else []
        room = Lobby(gateways[0])
        await asyncio.gather(*(happen(what, gateways[number], room, age) for number, what in steps))
        assert len(gateways[0].sessions()) <= 1


@pytest.mark.parametrize("event", ["room_started", "participant_joined"])
async def test_a_call_that_came_and_was_ended_while_livekit_was_asked_does_not_begin_again(
    stage: Stage, event: str
) -> None:
    stage.add_agent()
    stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))

    def meanwhile() -> None:
        if not stage.sessions():
            stage.add_session(sid="RM_1")
            ending = {"ending": "2026-01-01T00:00:00.000Z"}
            stage.set_status("Ended", endReason="Requested", times=ending)

    stage.livekit.meanwhile = meanwhile
    await stage.send(event, age=HELD_UP)

    assert len(stage.sessions()) == 1


async def test_a_session_that_goes_while_its_successor_is_made_leaves_that_the_only_one(
    stage: Stage,
) -> None:
    stage.add_agent()
    earlier = session_name("lobby")
    stage.add_session(earlier, sid="RM_0")
    stage.set_status("Ended")
    answers: list[Answer | None] = []

    async def goes(call: Call) -> None:
        if call.verb == "create" and not answers:
            answers.append(None)
            stage.remove_session(earlier)
            answers.append(await stage.send("participant_joined"))

    stage.kube.fault = goes
    answers.append(await stage.send("room_started"))

    assert answers[1:] == [(200, {"outcome": "created"}), (200, {"outcome": "exists"})]
    assert len(stage.sessions()) == 1
