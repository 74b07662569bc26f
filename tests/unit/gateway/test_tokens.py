"""The token endpoint: a caller gets a token, and finds the agent in the room."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest

from tests.support.fake_kube import Call
from tests.unit.gateway.stage import OURS, PAGE, THEIRS, Stage
from voicepod.gateway.door import NotTakenError
from voicepod.gateway.hook import Answer, DeniedError
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.sessions import session_name
from voicepod.gateway.token_request import TokenRequest
from voicepod.kube.client import SECRETS, VOICE_AGENTS, VOICE_SESSIONS, Object
from voicepod.kube.errors import Refused, Unavailable
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

JOINED = "participant_joined"

Told = tuple[int, dict[str, Any]]


async def ask(stage: Stage, headers: Mapping[str, str] | None = None, **fields: Any) -> Told:
    async with stage.client.post("/token", json=fields, headers=headers) as response:
        return response.status, await response.json()


def claims(answer: Mapping[str, str]) -> dict[str, Any]:
    token: dict[str, Any] = jwt.decode(
        answer["participant_token"], OURS.secret, algorithms=["HS256"]
    )
    return token


def count(stage: Stage, outcome: str) -> float:
    return (
        stage.metrics.registry.get_sample_value(
            "voicepod_gateway_token_requests_total", {"outcome": outcome}
        )
        or 0.0
    )


def operate(stage: Stage, *statuses: Object) -> None:
    """Have an operator write these statuses as soon as a session is made."""

    def made(type_: str, session: Object) -> None:
        if type_ == "ADDED":
            for status in statuses:
                stage.kube.put(VOICE_SESSIONS, "voice", {**session, "status": status})

    stage.kube.watch(VOICE_SESSIONS, made)


STARTING = {"phase": "Starting"}
IN_ROOM = {
    "phase": "Active",
    "roomSid": "RM_1",
    "times": {"joined": "2026-01-01T00:00:00.000Z"},
}


@asynccontextmanager
async def staged(**options: Any) -> AsyncIterator[Stage]:
    stage = Stage(**options)
    async with stage.client:
        yield stage


@pytest.fixture
async def impatient() -> AsyncIterator[Stage]:
    """A gateway that keeps no caller waiting."""
    async with staged(patience=0) as stage:
        yield stage


class TestACaller:
    async def test_gets_a_token_when_the_agent_is_in_the_room(self, stage: Stage) -> None:
        stage.add_agent("ada", {"prefix": "call-"})
        operate(stage, STARTING, IN_ROOM)
        status, answer = await ask(stage, room_name="call-7", participant_identity="bob")
        assert status == 201
        assert set(answer) == {"server_url", "participant_token"}
        assert answer["server_url"] == OURS.url
        token = claims(answer)
        assert (token["iss"], token["sub"]) == (OURS.key, "bob")
        assert token["video"]["room"] == "call-7"
        assert count(stage, "ready") == 1

    async def test_is_expected_by_a_session_that_knows_no_sid_yet(self, impatient: Stage) -> None:
        impatient.add_agent("ada", {"prefix": "call-"})
        agents = [{"metadata": "about bob"}]
        await ask(impatient, room_name="call-7", room_config={"agents": agents})
        (session,) = impatient.sessions()
        assert session["metadata"]["name"] == session_name("call-7")
        assert session["metadata"]["labels"] == {"voicepod.dev/agent": "ada"}
        assert session["spec"] == {
            "agentRef": {"name": "ada"},
            "room": "call-7",
            "roomSid": "",
            "metadata": "about bob",
        }

    async def test_is_not_held_up_by_an_agent_that_takes_its_time(self, impatient: Stage) -> None:
        impatient.add_agent()
        operate(impatient, STARTING)
        status, answer = await ask(impatient, room_name="lobby")
        assert status == 201
        assert claims(answer)["video"]["room"] == "lobby"
        assert count(impatient, "starting") == 1

    async def test_waits_until_the_agent_is_there(self, stage: Stage) -> None:
        stage.add_agent()
        made = asyncio.Event()
        stage.kube.watch(VOICE_SESSIONS, lambda *_: made.set())
        asking = asyncio.create_task(ask(stage, room_name="lobby"))
        await made.wait()
        assert not asking.done()
        stage.set_status("Starting")
        assert not asking.done()
        stage.set_status("Active", times=IN_ROOM["times"])
        assert (await asking)[0] == 201
        assert count(stage, "ready") == 1

    async def test_gets_what_the_request_says_into_the_token_and_no_dispatch(
        self, impatient: Stage
    ) -> None:
        impatient.add_agent("ada", {"agentName": "ada"})
        _, answer = await ask(
            impatient,
            room_name="lobby",
            participant_name="Bob",
            participant_metadata="from the web",
            participant_attributes={"plan": "gold"},
            room_config={"agents": [{"agent_name": "ada", "metadata": "vip"}]},
        )
        token = claims(answer)
        assert (token["name"], token["metadata"]) == ("Bob", "from the web")
        assert token["attributes"] == {"plan": "gold"}
        assert "roomConfig" not in token

    async def test_who_names_nothing_gets_a_room_and_an_identity_of_their_own(
        self, impatient: Stage
    ) -> None:
        impatient.add_agent("ada", {"prefix": "call-"})
        tokens = [claims((await ask(impatient))[1]) for _ in range(2)]
        assert all(token["video"]["room"].startswith("call-") for token in tokens)
        assert len({token["video"]["room"] for token in tokens}) == 2
        assert len({token["sub"] for token in tokens}) == 2
        assert len(impatient.sessions()) == 2

    async def test_is_sent_where_callers_reach_livekit(self, impatient: Stage) -> None:
        impatient.add_agent()
        (agent,) = impatient.kube.objects(VOICE_AGENTS)
        agent["spec"]["livekit"]["publicUrl"] = "wss://calls.example.com"
        impatient.kube.put(VOICE_AGENTS, "voice", agent)
        assert (await ask(impatient, room_name="lobby"))[1]["server_url"] == (
            "wss://calls.example.com"
        )

    async def test_costs_one_request(self, impatient: Stage) -> None:
        impatient.add_agent()
        await ask(impatient, room_name="lobby")
        impatient.kube.calls.clear()
        await ask(impatient, room_name="hall")
        assert [call.verb for call in impatient.kube.calls] == ["create"]
        assert impatient.livekit.asked == []


class TestARepeatedRequest:
    async def test_finds_the_same_session(self, impatient: Stage) -> None:
        impatient.add_agent()
        for _ in range(3):
            assert (await ask(impatient, room_name="lobby"))[0] == 201
        assert len(impatient.sessions()) == 1

    async def test_at_another_gateway_finds_it_as_well(self, impatient: Stage) -> None:
        impatient.add_agent()
        await ask(impatient, room_name="lobby")
        impatient.directory.forget_session(("voice", session_name("lobby")))
        assert (await ask(impatient, room_name="lobby"))[0] == 201
        assert len(impatient.sessions()) == 1

    async def test_finds_a_call_that_is_on(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.set_status("Active", times={"joined": "x", "caller": "x"})
        assert (await ask(stage, room_name="lobby"))[0] == 201
        assert len(stage.sessions()) == 1

    async def test_after_the_call_makes_another_one(self, impatient: Stage) -> None:
        impatient.add_agent()
        await ask(impatient, room_name="lobby")
        impatient.set_status("Ended", roomSid="RM_1")
        assert (await ask(impatient, room_name="lobby"))[0] == 201
        assert impatient.sessions()[-1]["metadata"]["name"] == session_name("lobby", 2)

    async def test_waits_for_the_goodbye_of_the_last_call(self, stage: Stage) -> None:
        stage.add_agent()
        await stage.send("room_started")
        stage.set_status("Ending")
        operate(stage, IN_ROOM)
        asking = asyncio.create_task(ask(stage, room_name="lobby"))
        async with stage.client.get("/healthz"):
            assert len(stage.sessions()) == 1
        stage.set_status("Ended")
        assert (await asking)[0] == 201
        assert len(stage.sessions()) == 2

    async def test_is_told_to_come_again_when_the_goodbye_takes_long(
        self, impatient: Stage
    ) -> None:
        impatient.add_agent()
        await impatient.send("room_started")
        impatient.set_status("Ending")
        status, answer = await ask(impatient, room_name="lobby")
        assert status == 503
        assert "goodbye" in answer["error"]
        assert count(impatient, "ending") == 1

    async def test_for_a_room_of_another_livekit_has_nothing_to_do_with_it(
        self, impatient: Stage
    ) -> None:
        impatient.add_agent("theirs", {"name": "lobby"}, credentials=THEIRS)
        await impatient.send("room_started", credentials=THEIRS)
        impatient.add_agent("ours", {"agentName": "ada"})
        agents = [{"agent_name": "ada"}]
        assert (await ask(impatient, room_name="lobby", room_config={"agents": agents}))[0] == 201
        assert [s["spec"]["agentRef"]["name"] for s in impatient.sessions()] == ["theirs", "ours"]


class TestTheWebhooksOfAPreparedRoom:
    @pytest.mark.parametrize("known", [True, False])
    async def test_make_no_second_session(self, impatient: Stage, known: bool) -> None:
        impatient.add_agent()
        await ask(impatient, room_name="lobby")
        if not known:
            impatient.directory.forget_session(("voice", session_name("lobby")))
        assert await impatient.send("room_started") == (200, {"outcome": "exists"})
        if not known:
            impatient.directory.forget_session(("voice", session_name("lobby")))
        assert await impatient.send(JOINED, id_="EV_7") == (200, {"outcome": "touched"})
        assert impatient.touched_for() == ["EV_7"]

    async def test_make_one_before_the_request_that_finds_it(self, impatient: Stage) -> None:
        impatient.add_agent()
        await impatient.send("room_started")
        impatient.directory.forget_session(("voice", session_name("lobby")))
        assert (await ask(impatient, room_name="lobby"))[0] == 201
        assert len(impatient.sessions()) == 1

    async def test_make_one_for_a_caller_who_comes_after_it_was_given_up(
        self, impatient: Stage
    ) -> None:
        impatient.add_agent()
        await ask(impatient, room_name="lobby")
        impatient.set_status("Ended", roomSid="RM_1")
        impatient.livekit.rooms["lobby"] = Room("lobby", "RM_1", frozenset({"bob"}))
        assert await impatient.send(JOINED) == (200, {"outcome": "created"})

    @pytest.mark.parametrize("sid", ["RM_1", "RM_2"])
    async def test_bring_the_agent_that_was_asked_for_to_a_caller_who_comes_back(
        self, impatient: Stage, sid: str
    ) -> None:
        impatient.add_agent("ada", {"agentName": "ada"})
        impatient.add_agent("any", {"regex": ".*"})
        agents = [{"agent_name": "ada", "metadata": "about bob"}]
        _, answer = await ask(impatient, room_config={"agents": agents})
        room = claims(answer)["video"]["room"]
        for _ in range(2):
            impatient.set_status("Ended", roomSid="RM_1")
            impatient.livekit.rooms[room] = Room(room, sid, frozenset({"bob"}))
            told = await impatient.send(JOINED, room=room, sid=sid)
            assert told == (200, {"outcome": "created"})
            spec = impatient.sessions()[-1]["spec"]
            assert (spec["agentRef"], spec["metadata"]) == ({"name": "ada"}, "about bob")


class TestARequestThatIsRefused:
    @pytest.mark.parametrize(
        ("fields", "status", "words"),
        [
            ({"room_name": 7}, 400, "room_name: "),
            ({"room_name": "elsewhere"}, 422, "room_name: "),
            (
                {"room_config": {"agents": [{"agent_name": "eve"}]}},
                422,
                "room_config.agents[0].agent_name: ",
            ),
        ],
    )
    async def test_names_the_field(
        self, stage: Stage, fields: dict[str, Any], status: int, words: str
    ) -> None:
        stage.add_agent("ada", {"prefix": "call-"})
        told, answer = await ask(stage, **fields)
        assert told == status
        assert answer["error"].startswith(words)
        assert stage.sessions() == []

    async def test_is_refused_before_everything_is_listed(self, stage: Stage) -> None:
        stage.add_agent()
        stage.directory.filled = False
        assert (await ask(stage, room_name="lobby"))[0] == 503

    async def test_may_be_a_quarter_of_a_mebibyte_and_no_more(self, impatient: Stage) -> None:
        impatient.add_agent()
        for size, status in ((256 * 1024, 201), (256 * 1024 + 1, 413)):
            body = b'{"room_name": "lobby"}'.ljust(size)
            async with impatient.client.post("/token", data=body) as response:
                assert response.status == status

    async def test_is_one_of_too_many_and_keeps_no_webhook_out(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert stage.tokens
        stage.add_agent()
        monkeypatch.setattr(stage.tokens.door, "places", 1)
        made = asyncio.Event()
        stage.kube.watch(VOICE_SESSIONS, lambda *_: made.set())
        waiting = asyncio.create_task(ask(stage, room_name="lobby"))
        await made.wait()
        assert (await ask(stage, room_name="hall"))[0] == 503
        assert count(stage, "busy") == 1
        assert await stage.send("room_started") == (200, {"outcome": "exists"})
        stage.set_status("Active", times=IN_ROOM["times"])
        assert (await waiting)[0] == 201

    async def test_that_the_api_server_refuses_is_told_on_the_voiceagent_not_to_the_caller(
        self, stage: Stage, caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.add_agent()

        async def forbid(call: Call) -> None:
            if call.verb == "create":
                raise Refused("exceeded quota: sessions=10")

        stage.kube.fault = forbid
        status, answer = await ask(stage, room_name="lobby")
        assert status == 500
        assert "quota" not in answer["error"]
        assert "quota" in caplog.text
        assert [note.reason for _, note in stage.events.notes] == ["SessionRefused"]

    async def test_while_the_api_server_is_away_can_be_made_again(self, impatient: Stage) -> None:
        impatient.add_agent()

        async def away(_: Call) -> None:
            raise Unavailable("restarting at 10.0.0.1")

        for room in ("secret-not-read", "lobby"):
            impatient.kube.fault = away
            status, answer = await ask(impatient, room_name=room)
            assert status == 503
            assert "10.0.0.1" not in answer["error"]
            impatient.kube.fault = None
            assert (await ask(impatient, room_name=room))[0] == 201

    async def test_for_a_voiceagent_without_credentials(self, stage: Stage) -> None:
        stage.add_agent()
        stage.kube.remove(SECRETS, "voice", "ada-keys")
        status, answer = await ask(stage, room_name="lobby")
        assert status == 503
        assert "credentials" in answer["error"]
        assert stage.sessions() == []

    @pytest.mark.parametrize("phase", ["Ending", "Ended", "Failed"])
    async def test_when_the_session_is_over_before_its_agent_came(
        self, stage: Stage, phase: str
    ) -> None:
        stage.add_agent()
        operate(stage, STARTING, {"phase": phase, "reason": "RoomTaken"})
        status, answer = await ask(stage, room_name="lobby")
        assert status == 503
        assert "over before you could come" in answer["error"]
        assert count(stage, "failed") == 1

    @pytest.mark.parametrize("reason", ["AgentFull", "NamespaceFull", "QueueDeadline"])
    async def test_when_all_places_are_taken(self, stage: Stage, reason: str) -> None:
        stage.add_agent()
        operate(stage, {"phase": "Failed", "endReason": reason})
        async with stage.client.post("/token", json={"room_name": "lobby"}) as response:
            answer = await response.json()
        assert response.status == 429
        assert 5 <= int(response.headers["Retry-After"]) <= 15
        assert "all places are taken" in answer["error"]
        assert count(stage, "full") == 1

    async def test_when_the_session_is_deleted_under_it(self, stage: Stage) -> None:
        stage.add_agent()

        def delete(type_: str, session: Object) -> None:
            if type_ == "ADDED":
                name = session["metadata"]["name"]
                asyncio.get_running_loop().call_soon(
                    stage.kube.remove, VOICE_SESSIONS, "voice", name
                )

        stage.kube.watch(VOICE_SESSIONS, delete)
        assert (await ask(stage, room_name="lobby"))[0] == 503


class TestWithoutAnAdmission:
    async def test_nobody_gets_a_token(self) -> None:
        async with staged(admission=None) as stage:
            stage.add_agent()
            status, answer = await ask(stage, room_name="lobby")
            assert status == 404
            assert "gateway.tokens.auth" in answer["error"]
            assert stage.sessions() == []
            async with stage.client.options("/token") as response:
                assert response.status == 405


class TestAHook:
    async def test_that_turns_a_caller_away_speaks_for_itself(self) -> None:
        async def deny(*_: Any) -> TokenRequest:
            raise DeniedError(Answer(401, {"WWW-Authenticate": "Bearer"}, b"who are you?"))

        async with staged(admission=deny) as stage:
            stage.add_agent()
            async with stage.client.post("/token", json={"room_name": "lobby"}) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert await response.text() == "who are you?"
            assert stage.sessions() == []
            assert count(stage, "denied") == 1

    async def test_decides_on_the_room_and_on_who_the_caller_is(self) -> None:
        seen: list[tuple[str | None, bytes]] = []

        async def fix(headers: Mapping[str, str], body: bytes, asked: TokenRequest) -> TokenRequest:
            seen.append((headers.get("Authorization"), body))
            return asked.overridden_by(
                TokenRequest(room_name="call-7", participant_identity="user-7")
            )

        async with staged(admission=fix, patience=0) as stage:
            stage.add_agent("ada", {"prefix": "call-"})
            headers = {"Authorization": "Bearer mine"}
            _, answer = await ask(stage, headers, participant_identity="admin")
            token = claims(answer)
            assert (token["sub"], token["video"]["room"]) == ("user-7", "call-7")
            assert seen == [("Bearer mine", b'{"participant_identity": "admin"}')]

    async def test_that_fails_lets_nobody_in_and_is_only_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail(*_: Any) -> TokenRequest:
            raise NotTakenError(Outcome.HOOK_FAILED, "try again", "http://internal is away")

        async with staged(admission=fail) as stage:
            stage.add_agent()
            assert await ask(stage, room_name="lobby") == (503, {"error": "try again"})
            assert "http://internal is away" in caplog.text
            assert stage.sessions() == []


class TestAWebPage:
    async def test_of_the_platform_may_ask_and_read_the_answer(self, impatient: Stage) -> None:
        impatient.add_agent()
        preflight = {
            "Origin": PAGE,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        async with impatient.client.options("/token", headers=preflight) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == PAGE
            assert response.headers["Access-Control-Allow-Methods"] == "POST"
            assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        for fields, status in (({"room_name": "lobby"}, 201), ({"room_name": 7}, 400)):
            async with impatient.client.post(
                "/token", json=fields, headers={"Origin": PAGE}
            ) as response:
                assert response.status == status
                assert response.headers["Access-Control-Allow-Origin"] == PAGE
                assert response.headers["Access-Control-Allow-Credentials"] == "true"
                assert response.headers["Vary"] == "Origin"
                assert response.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{PAGE}.evil.com"])
    async def test_of_anybody_else_may_not(self, stage: Stage, origin: str) -> None:
        stage.add_agent()
        headers = {"Origin": origin}
        async with stage.client.options("/token", headers=headers) as response:
            assert "Access-Control-Allow-Origin" not in response.headers
        status, answer = await ask(stage, headers, room_name="lobby")
        assert status == 403
        assert "gateway.tokens.origins" in answer["error"]
        assert stage.sessions() == []
        assert count(stage, "foreign_origin") == 1


async def test_metrics_tell_how_long_callers_waited(impatient: Stage) -> None:
    impatient.add_agent()
    await ask(impatient, room_name="lobby")
    await ask(impatient, room_name=7)
    async with impatient.client.get("/metrics") as response:
        text = await response.text()
    assert 'voicepod_gateway_token_seconds_count{outcome="starting"} 1.0' in text
    assert 'voicepod_gateway_token_requests_total{outcome="malformed"} 1.0' in text
    assert 'token_seconds_count{outcome="malformed"}' not in text


async def test_no_token_and_no_secret_is_logged(
    impatient: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    impatient.add_agent()
    _, answer = await ask(impatient, {"Authorization": "Bearer mine"}, room_name="lobby")
    await ask(impatient, {"Authorization": "Bearer mine"}, room_name=7)
    for secret in (OURS.secret, answer["participant_token"], "Bearer mine"):
        assert secret not in caplog.text
