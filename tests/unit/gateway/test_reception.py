"""From a webhook to a VoiceSession: what is made, what is touched, and what is left alone."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_kube import Call
from tests.unit.gateway.stage import THEIRS, Stage
from voicepod.gateway.sessions import session_name
from voicepod.kube.client import VOICE_SESSIONS
from voicepod.kube.errors import Refused, Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import Unreachable
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
    assert session["metadata"]["name"] == session_name("RM_1")
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
    await stage.send("room_started", sid="RM_0")
    stage.kube.calls.clear()
    await stage.send("room_started")
    assert [call.verb for call in stage.kube.calls] == ["create"]
    assert stage.livekit.asked == []


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
    assert await stage.send("room_started", sid="RM_2") == (OK, {"outcome": "created"})
    assert {s["spec"]["roomSid"] for s in stage.sessions()} == {"RM_1", "RM_2"}


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
        assert [s["metadata"]["name"] for s in stage.sessions()] == [session_name("RM_1")]


class TestACallerWhoComesBackAfterTheSessionEnded:
    async def test_gets_a_new_one(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        for attempt in (2, 3):
            stage.set_status("Ended")
            stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
            assert await stage.send(JOINED) == (OK, {"outcome": "created"})
            assert stage.sessions()[-1]["metadata"]["name"] == session_name("RM_1", attempt)
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
        stage.directory.forget_session(("voice", session_name("RM_1")))
        assert await stage.send("room_started") == (OK, {"outcome": "exists"})
        assert len(stage.sessions()) == 1

    async def test_tell_of_a_caller_even_when_the_session_is_news_to_one(
        self, stage: Stage
    ) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.directory.forget_session(("voice", session_name("RM_1")))
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
        assert stage.touched_for() == ["EV_7"]

    async def test_make_one_session_for_a_caller_who_comes_back(self, stage: Stage) -> None:
        stage.add_agent()
        stage.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
        await stage.send("room_started")
        stage.set_status("Ended")
        await stage.send(JOINED)
        stage.directory.forget_session(("voice", session_name("RM_1", 2)))
        assert await stage.send(JOINED, id_="EV_7") == (OK, {"outcome": "touched"})
        assert stage.touched_for() == ["", "EV_7"]


class TestARoomThatSeveralVoiceAgentsWant:
    async def test_goes_to_the_more_specific_one_and_both_are_told(self, stage: Stage) -> None:
        stage.add_agent("any", {"regex": ".*"}, namespace="one")
        stage.add_agent("lob", {"prefix": "lob"}, created="2026-06-01T00:00:00Z", namespace="two")
        await stage.send("room_started")
        assert stage.sessions()[0]["metadata"]["namespace"] == "two"
        (first, winner), (second, rival) = stage.events.notes
        assert (first, second) == ("two/lob", "one/any")
        assert winner.reason == rival.reason == "RoomContested"
        assert winner.warning
        assert rival.warning
        assert "one/any" in winner.message
        assert "two/lob" in rival.message

    async def test_goes_to_the_older_of_two_that_want_it_alike(self, stage: Stage) -> None:
        stage.add_agent("young", {"prefix": "lob"}, created="2026-06-01T00:00:00Z")
        stage.add_agent("old", {"prefix": "lob"}, created="2026-01-01T00:00:00Z")
        await stage.send("room_started")
        assert stage.sessions()[0]["spec"]["agentRef"] == {"name": "old"}

    async def test_is_spoken_of_once_in_many_calls(self, stage: Stage) -> None:
        stage.add_agent("one")
        stage.add_agent("two")
        for number in range(5):
            await stage.send("room_started", sid=f"RM_{number}")
        assert len(stage.events.notes) == 2

    async def test_is_not_contested_by_one_on_another_livekit(self, stage: Stage) -> None:
        stage.add_agent("ours", {"prefix": "lob"})
        stage.add_agent("theirs", {"name": "lobby"}, credentials=THEIRS)
        await stage.send("room_started")
        assert stage.sessions()[0]["spec"]["agentRef"] == {"name": "ours"}
        assert stage.events.notes == []


class TestADispatch:
    async def test_finds_its_agent_and_brings_its_metadata(self, stage: Stage) -> None:
        stage.add_agent("any", {"name": "lobby"})
        stage.add_agent("ada", {"agentName": "ada"})
        stage.livekit.dispatches["lobby"] = {"ada": "about bob", "other": ""}
        await stage.send("room_started")
        spec = stage.sessions()[0]["spec"]
        assert spec["agentRef"] == {"name": "ada"}
        assert spec["metadata"] == "about bob"

    async def test_is_not_asked_for_when_no_rule_needs_it(self, stage: Stage) -> None:
        stage.add_agent("any", {"name": "lobby"})
        stage.add_agent("ada", {"agentName": "ada"}, credentials=THEIRS)
        await stage.send("room_started")
        assert stage.livekit.asked == []

    async def test_that_cannot_be_asked_for_is_asked_for_again(self, stage: Stage) -> None:
        stage.add_agent("any", {"name": "lobby"})
        stage.add_agent("ada", {"agentName": "ada"})
        stage.livekit.faults["ws://livekit"] = Unreachable("LiveKit is away")
        assert await stage.send("room_started") == (503, {"error": "LiveKit is away"})
        assert stage.sessions() == []

    async def test_is_found_though_a_voiceagent_names_a_url_that_does_not_work(
        self, stage: Stage
    ) -> None:
        stage.add_agent("ada", {"agentName": "ada"})
        typo = Credentials("ws://livekti", "our-key", "our-secret-of-at-least-32-characters")
        stage.add_agent("bea", {"agentName": "bea"}, credentials=typo)
        stage.livekit.faults["ws://livekti"] = Unreachable("no such host")
        stage.livekit.dispatches["lobby"] = {"ada": ""}
        assert await stage.send("room_started") == (OK, {"outcome": "created"})


class TestARoomThatNobodyWants:
    async def test_is_counted_and_a_debug_log_says_why(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.add_agent("ada", {"name": "elsewhere"})
        with caplog.at_level("DEBUG", logger="voicepod.gateway.reception"):
            assert await stage.send("room_started") == (OK, {"outcome": "unwanted"})
        assert stage.sessions() == []
        assert stage.count("room_started", "unwanted") == 1
        assert "no VoiceAgent wants room 'lobby'" in caplog.text

    async def test_is_none_of_a_voiceagent_without_rules(self, stage: Stage) -> None:
        stage.add_agent("ada", {})
        assert await stage.send("room_started") == (OK, {"outcome": "unwanted"})


class TestTheKubernetesApi:
    async def test_being_away_makes_livekit_come_again(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started", sid="RM_0")

        async def away(_: Call) -> None:
            raise Unavailable("the Kubernetes API is restarting")

        stage.kube.fault = away
        answer = 503, {"error": "the Kubernetes API is restarting"}
        assert await stage.send("room_started") == answer
        assert await stage.send(LEFT, sid="RM_0") == answer
        stage.kube.fault = None
        assert await stage.send("room_started") == (OK, {"outcome": "created"})
        assert await stage.send(LEFT, sid="RM_0") == (OK, {"outcome": "touched"})

    async def test_refusing_a_session_is_told_on_the_voiceagent_once(self, stage: Stage) -> None:
        stage.add_agent()

        async def forbid(call: Call) -> None:
            if call.verb == "create":
                raise Refused("exceeded quota: sessions=10")

        stage.kube.fault = forbid
        for number in range(3):
            status, answer = await stage.send("room_started", sid=f"RM_{number}")
            assert status == 500
            assert answer == {"error": "exceeded quota: sessions=10"}
        ((about, note),) = stage.events.notes
        assert about == "voice/ada"
        assert note.reason == "SessionRefused"
        assert "exceeded quota: sessions=10" in note.message
        stage.kube.fault = None
        assert await stage.send("room_started") == (OK, {"outcome": "created"})


ODD_NAMES = [
    "a",
    "Lobby",
    "with spaces ",
    "with/slashes/../..",
    "日本語 🎉",
    "🎉" * 256,
    "x" * 256,
    "tab\tand\nline break",
    "-._~:?#[]@!$&'()*+,;=%",
    "null\x00byte",
]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_of_rooms_work(stage: Stage, name: str) -> None:
    stage.add_agent("ada", {"name": name})
    assert await stage.send("room_started", room=name) == (OK, {"outcome": "created"})
    assert stage.sessions()[0]["spec"]["room"] == name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=256))
async def test_every_name_of_a_room_works(stage: Stage, name: str) -> None:
    for session in stage.sessions():
        stage.kube.remove(VOICE_SESSIONS, "voice", session["metadata"]["name"])
    stage.add_agent("ada", {"prefix": name[0]})
    assert await stage.send("room_started", room=name) == (OK, {"outcome": "created"})
    assert await stage.send(LEFT, room=name) == (OK, {"outcome": "touched"})


async def test_a_name_that_is_too_long_for_a_session_is_counted_and_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add_agent()
    answer = await stage.send("room_started", room="x" * 257)
    assert answer == (OK, {"outcome": "name_too_long"})
    assert stage.sessions() == []
    assert stage.count("room_started", "name_too_long") == 1
    assert "a name of 257 characters" in caplog.text


@pytest.mark.parametrize(("room", "sid"), [("", "RM_1"), ("lobby", "")])
async def test_an_event_that_names_no_room_is_malformed(stage: Stage, room: str, sid: str) -> None:
    stage.add_agent()
    status, answer = await stage.send("room_started", room=room, sid=sid)
    assert status == 400
    assert "names no room" in answer["error"]
