"""What an event does: a session is made once, touched for the operator, or left alone."""

from typing import Any

import pytest

from tests.unit.gateway.stage import THEIRS, Stage
from voicepod.gateway.sessions import session_name
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS, Object
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

JOINED = "participant_joined"
LEFT = "participant_left"
OK = 200


@pytest.mark.parametrize("event", ["room_started", JOINED])
async def test_a_room_gets_its_session(stage: Stage, event: str) -> None:
    stage.add_agent("ada", {"name": "lobby"})
    assert await stage.send(event) == (OK, {"outcome": "created"})
    (session,) = stage.sessions()
    assert session["metadata"]["name"] == session_name("lobby")
    assert session["metadata"]["namespace"] == "voice"
    assert session["metadata"]["labels"] == {"voicepod.dev/agent": "ada"}
    assert session["spec"] == {
        "agentRef": {"name": "ada"},
        "room": "lobby",
        "roomSid": "RM_1",
        "metadata": "",
    }


async def test_a_session_costs_one_request(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started", "hall", sid="RM_0")
    stage.kube.calls.clear()
    await stage.send("room_started")
    assert [call.verb for call in stage.kube.calls] == ["create"]
    assert stage.livekit.asked == []


async def test_an_operator_that_takes_hints_spares_every_other_write(stage: Stage) -> None:
    stage.add_agent()
    stage.operator.there = True
    await stage.send("room_started")
    assert await stage.send(JOINED) == (OK, {"outcome": "touched"})
    stage.set_status("Active", caller_there=True)
    assert await stage.send(LEFT) == (OK, {"outcome": "touched"})

    assert [call.verb for call in stage.session_writes()] == ["create"]
    assert stage.operator.took == [("voice", session_name("lobby"))] * 2


async def test_a_call_as_most_are_costs_two_writes_beside_the_session(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    await stage.send(JOINED)
    stage.set_status("Active", caller_there=True)
    await stage.send(JOINED, kind="AGENT")
    await stage.send("track_published")
    await stage.send(LEFT)
    stage.set_status("Ended")
    await stage.send(LEFT, kind="AGENT")
    await stage.send("room_finished")
    assert [call.verb for call in stage.session_writes()] == ["create", "patch", "patch"]


@pytest.mark.parametrize("event", ["room_started", JOINED])
async def test_the_same_event_twice_makes_one_session(stage: Stage, event: str) -> None:
    stage.add_agent()
    for _ in range(2):
        assert (await stage.send(event, id_="EV_same"))[0] == OK
    assert len(stage.sessions()) == 1


async def test_a_repeated_event_touches_a_session_once(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    await stage.send(LEFT, id_="EV_same")
    await stage.send(LEFT, id_="EV_same")
    assert [call.verb for call in stage.session_writes()] == ["create", "patch"]


async def test_events_in_the_wrong_order_make_one_session(stage: Stage) -> None:
    stage.add_agent()
    assert await stage.send(LEFT) == (OK, {"outcome": "ignored"})
    assert await stage.send(JOINED) == (OK, {"outcome": "created"})
    assert await stage.send("room_started") == (OK, {"outcome": "exists"})
    assert len(stage.sessions()) == 1


async def test_two_rooms_of_one_name_are_two_calls(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started", sid="RM_1")
    assert await stage.send(JOINED, sid="RM_2") == (OK, {"outcome": "created"})
    assert {s["spec"]["roomSid"] for s in stage.sessions()} == {"RM_1", "RM_2"}


async def test_a_room_that_an_agent_has_opened_again_has_no_session_without_a_caller(
    stage: Stage,
) -> None:
    stage.add_agent()
    await stage.send("room_started", sid="RM_1")
    agents = frozenset({"agent-AJ_1"})
    stage.livekit.rooms["lobby"] = Room("lobby", "RM_2", others=agents)
    assert await stage.send("room_started", sid="RM_2") == (OK, {"outcome": "ignored"})

    stage.livekit.rooms["lobby"] = Room("lobby", "RM_3", frozenset({"robert"}), agents)
    assert await stage.send("room_started", sid="RM_3") == (OK, {"outcome": "created"})


@pytest.mark.parametrize("kind", ["AGENT", "EGRESS", "INGRESS"])
@pytest.mark.parametrize("event", [JOINED, LEFT, "participant_connection_aborted"])
async def test_whoever_is_no_caller_neither_makes_nor_touches_a_session(
    stage: Stage, event: str, kind: str
) -> None:
    stage.add_agent()
    assert await stage.send(event, kind=kind) == (OK, {"outcome": "ignored"})
    assert stage.sessions() == []
    await stage.send("room_started")
    assert await stage.send(event, kind=kind) == (OK, {"outcome": "ignored"})
    assert stage.touched_for() == [""]


@pytest.mark.parametrize("kind", ["STANDARD", "SIP", "CONNECTOR"])
async def test_people_and_telephones_are_callers(stage: Stage, kind: str) -> None:
    stage.add_agent()
    assert await stage.send(JOINED, kind=kind) == (OK, {"outcome": "created"})


async def test_a_caller_whom_the_operator_has_not_seen_is_told_of(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
    assert stage.touched_for() == ["EV_7"]


async def test_a_second_caller_is_no_news(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    stage.set_status("Active", caller_there=True)
    assert await stage.send(JOINED) == (OK, {"outcome": "exists"})
    assert stage.touched_for() == [""]


async def test_a_caller_who_comes_back_is_told_of(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    left = {"caller": "2026-01-01T00:00:00.000Z", "left": "2026-01-01T00:01:00.000Z"}
    stage.set_status("Reconnecting", times=left)
    assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
    assert stage.touched_for() == ["EV_7"]


@pytest.mark.parametrize("event", [LEFT, "participant_connection_aborted", "room_finished"])
@pytest.mark.parametrize("phase", ["Pending", "Starting", "Active", "Reconnecting"])
async def test_who_leaves_is_told_of_at_any_time_of_a_call(
    stage: Stage, event: str, phase: str
) -> None:
    stage.add_agent()
    await stage.send("room_started")
    stage.set_status(phase, caller_there=True)
    assert await stage.send(event, id_="EV_7") == (OK, {"outcome": "touched"})
    assert stage.touched_for() == ["EV_7"]


@pytest.mark.parametrize("event", [LEFT, "room_finished"])
@pytest.mark.parametrize("phase", ["Ending", "Ended", "Failed"])
async def test_what_happens_to_a_call_that_is_over_is_no_news(
    stage: Stage, event: str, phase: str
) -> None:
    stage.add_agent()
    await stage.send("room_started")
    stage.set_status(phase)
    assert await stage.send(event) == (OK, {"outcome": "ignored"})
    assert stage.touched_for() == [""]


async def test_who_leaves_a_session_that_was_just_deleted_is_no_news(stage: Stage) -> None:
    stage.add_agent()
    await stage.send("room_started")
    (stale,) = stage.sessions()
    stage.kube.remove(VOICE_SESSIONS, "voice", stale["metadata"]["name"])
    stage.directory.see_session(stale)
    assert await stage.send(LEFT) == (OK, {"outcome": "ignored"})


async def test_a_session_that_goes_before_its_touch_is_answered_stays_gone(stage: Stage) -> None:
    stage.add_agent()
    stage.add_session(sid="RM_1")
    patch = stage.kube.patch

    async def late(*arguments: Any, **more: Any) -> Object:
        answer = await patch(*arguments, **more)
        stage.remove_session()
        return answer

    stage.kube.patch = late  # type: ignore[method-assign]
    await stage.send(LEFT)

    assert stage.directory.sessions_in("lobby") == []


async def test_a_live_call_of_a_deleted_voiceagent_goes_on_and_ends_as_others_do(
    stage: Stage,
) -> None:
    stage.add_agent()
    await stage.send("room_started")
    stage.kube.remove(VOICE_AGENTS, "voice", "ada")
    assert await stage.send(JOINED) == (OK, {"outcome": "touched"})
    assert await stage.send(LEFT) == (OK, {"outcome": "touched"})
    assert await stage.send("room_started", sid="RM_2") == (OK, {"outcome": "unwanted"})


class TestARoomThatHasASessionMadeByHand:
    async def test_gets_no_second_one(self, stage: Stage) -> None:
        stage.add_agent()
        stage.add_session()
        assert await stage.send("room_started") == (OK, {"outcome": "exists"})
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
        assert stage.touched_for() == ["EV_7"]

    async def test_is_known_by_the_sid_that_the_operator_wrote(self, stage: Stage) -> None:
        stage.add_agent()
        stage.add_session()
        stage.set_status("Active", roomSid="RM_1")
        assert await stage.send(JOINED, sid="RM_1") == (OK, {"outcome": "touched"})
        assert await stage.send(JOINED, sid="RM_2") == (OK, {"outcome": "created"})

    async def test_gets_one_for_a_later_call_when_it_never_had_a_room(self, stage: Stage) -> None:
        stage.add_agent()
        stage.add_session()
        stage.set_status("Failed")
        assert await stage.send("room_started") == (OK, {"outcome": "created"})

    async def test_gets_its_own_on_another_livekit(self, stage: Stage) -> None:
        stage.add_agent("ada", credentials=THEIRS)
        stage.add_session(agent="ada")
        stage.add_agent("bea")
        assert await stage.send("room_started") == (OK, {"outcome": "created"})
        assert stage.sessions()[-1]["spec"]["agentRef"] == {"name": "bea"}

    async def test_gets_one_when_that_was_deleted_and_the_gateway_did_not_hear(
        self, stage: Stage
    ) -> None:
        stage.add_agent()
        stage.add_session()
        stale = stage.sessions()[0]
        stage.kube.remove(VOICE_SESSIONS, "voice", "by-hand")
        stage.directory.see_session(stale)
        assert await stage.send(JOINED) == (OK, {"outcome": "created"})
        assert [s["metadata"]["name"] for s in stage.sessions()] == [session_name("lobby")]


class TestACallerWhoComesBackAfterTheSessionEnded:
    async def test_gets_a_new_one(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        for attempt in (2, 3):
            stage.set_status("Ended")
            stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
            assert await stage.send(JOINED) == (OK, {"outcome": "created"})
            assert stage.sessions()[-1]["metadata"]["name"] == session_name("lobby", attempt)
        assert await stage.send(JOINED) == (OK, {"outcome": "touched"})

    @pytest.mark.parametrize(
        "room",
        [
            Room("lobby"),
            Room("lobby", "RM_1", frozenset(), frozenset({"agent"})),
            Room("lobby", "RM_2", frozenset({"bob"})),
        ],
    )
    async def test_gets_none_when_nobody_is_there_any_more(self, stage: Stage, room: Room) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.set_status("Ended")
        stage.livekit.rooms["lobby"] = room
        assert await stage.send(JOINED) == (OK, {"outcome": "ignored"})
        assert len(stage.sessions()) == 1

    async def test_is_asked_for_again_while_the_agent_says_goodbye(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.set_status("Ending")
        status, answer = await stage.send(JOINED, id_="EV_7")
        assert status == 503
        assert "goodbye" in answer["error"]
        stage.set_status("Ended")
        stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "created"})

    async def test_gets_none_by_a_late_room_started(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.set_status("Ended")
        assert await stage.send("room_started") == (OK, {"outcome": "exists"})


class TestAnEventThatIsLate:
    async def test_makes_no_session_for_a_room_that_is_gone(self, stage: Stage) -> None:
        stage.add_agent()
        assert await stage.send("room_started", age=60) == (OK, {"outcome": "ignored"})
        assert stage.sessions() == []

    async def test_makes_the_session_of_a_room_that_is_open(self, stage: Stage) -> None:
        stage.add_agent()
        stage.livekit.rooms["lobby"] = Room("lobby", "RM_1")
        assert await stage.send("room_started", age=60) == (OK, {"outcome": "created"})


class TestTwoGateways:
    async def test_make_one_session(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.directory.forget_session(("voice", session_name("lobby")))
        assert await stage.send("room_started") == (OK, {"outcome": "exists"})
        assert len(stage.sessions()) == 1

    async def test_tell_of_a_caller_even_when_the_session_is_news_to_one(
        self, stage: Stage
    ) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.directory.forget_session(("voice", session_name("lobby")))
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
        assert stage.touched_for() == ["EV_7"]

    async def test_make_one_session_for_a_caller_who_comes_back(self, stage: Stage) -> None:
        stage.add_agent()
        stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
        await stage.send("room_started")
        stage.set_status("Ended")
        await stage.send(JOINED)
        stage.directory.forget_session(("voice", session_name("lobby", 2)))
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
        assert stage.touched_for() == ["", "EV_7"]
