"""Whose a new room is, under which names, and what happens where no session can be made."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_kube import Call
from tests.unit.gateway.stage import THEIRS, Stage
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS
from voicepod.kube.errors import Refused, Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import Unreachable

pytestmark = pytest.mark.unit

LEFT = "participant_left"
OK = 200


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
        await stage.send("room_started", "hall", sid="RM_0")

        async def away(_: Call) -> None:
            raise Unavailable("the Kubernetes API is restarting")

        stage.kube.fault = away
        answer = 503, {"error": "the Kubernetes API is restarting"}
        assert await stage.send("room_started") == answer
        assert await stage.send(LEFT, "hall", sid="RM_0") == answer
        stage.kube.fault = None
        assert await stage.send("room_started") == (OK, {"outcome": "created"})
        assert await stage.send(LEFT, "hall", sid="RM_0") == (OK, {"outcome": "touched"})

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
    if not stage.kube.objects(VOICE_AGENTS):
        stage.add_agent("ada", {"regex": "(?s).*"})
    sid = f"RM_{len(stage.kube.calls)}"
    assert await stage.send("room_started", name, sid) == (OK, {"outcome": "created"})
    assert await stage.send(LEFT, name, sid) == (OK, {"outcome": "touched"})


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
