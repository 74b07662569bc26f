"""The gateway's HTTP port: what is refused before anything is looked into, and the probes."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.support.fake_kube import Call
from tests.unit.gateway.stage import OURS, THEIRS, Stage, sign
from voicepod.gateway import door

pytestmark = pytest.mark.unit

BODY = (
    b'{"event": "room_started", "room": {"sid": "RM_1", "name": "lobby"}, '
    b'"createdAt": "9999999999"}'
)


@pytest.fixture(autouse=True)
def agent(stage: Stage) -> None:
    stage.add_agent()


@pytest.mark.parametrize(
    ("authorization", "why"),
    [
        (None, "the Authorization header is missing"),
        ("", "the Authorization header is missing"),
        ("Bearer nonsense", "token is not valid"),
        (sign(BODY, THEIRS), "signed with an API key that no VoiceAgent uses"),
        (sign(b"another"), "body is not the one that was signed"),
    ],
)
async def test_a_forged_webhook_is_401_and_makes_nothing(
    stage: Stage, authorization: str | None, why: str
) -> None:
    status, answer = await stage.post(BODY, authorization)
    assert status == 401
    assert why in answer["error"]
    assert stage.kube.writes() == []
    assert stage.count("unread", "unauthorized") == 1


async def test_a_body_of_a_mebibyte_is_taken_and_a_byte_more_is_413(stage: Stage) -> None:
    padding = b" " * (1024 * 1024 - len(BODY))
    assert (await stage.post(BODY + padding, sign(BODY + padding)))[0] == 200
    status, answer = await stage.post(BODY + padding + b" ", sign(BODY + padding + b" "))
    assert status == 413
    assert answer == {"error": "the body is larger than 1048576 bytes"}
    assert len(stage.sessions()) == 1


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]", b"{}", b"\xff"])
async def test_a_body_that_is_no_event_is_400_once_it_is_believed(
    stage: Stage, body: bytes
) -> None:
    status, answer = await stage.post(body, sign(body))
    assert status == 400
    assert "not a LiveKit webhook event" in answer["error"]
    assert (await stage.post(body, "forged"))[0] == 401


@pytest.mark.parametrize("event", ["track_published", "egress_ended", "of_tomorrow"])
async def test_an_event_that_matters_to_no_session_is_ignored(stage: Stage, event: str) -> None:
    body = json.dumps({"event": event}).encode()
    assert await stage.post(body, sign(body)) == (200, {"outcome": "ignored"})
    assert stage.kube.writes() == []


async def test_an_event_nobody_knows_does_not_become_a_label(stage: Stage) -> None:
    for number in range(3):
        body = json.dumps({"event": f"invented-{number}"}).encode()
        await stage.post(body, sign(body))
    assert stage.count("other", "ignored") == 3


async def test_nothing_is_decided_before_everything_is_listed(stage: Stage) -> None:
    stage.directory.filled = False
    status, answer = await stage.post(BODY, sign(BODY))
    assert status == 503
    assert "being listed" in answer["error"]
    assert stage.kube.calls == []


class SlowApi:
    """An API server that takes as long as a test wants."""

    def __init__(self) -> None:
        self.asked = asyncio.Semaphore(0)
        self.answers = asyncio.Event()

    async def __call__(self, _: Call) -> None:
        self.asked.release()
        await self.answers.wait()


async def test_more_webhooks_than_the_bound_are_told_to_come_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.webhooks.door, "places", 2)
    await stage.keyring.verify(BODY, sign(BODY))
    stage.kube.fault = api = SlowApi()
    taken = []
    for number in range(2):
        taken.append(asyncio.create_task(stage.send("room_started", sid=f"RM_{number}")))
        await api.asked.acquire()
    status, answer = await stage.send("room_started", sid="RM_3")
    assert status == 503
    assert answer == {"error": "2 webhooks are under way already"}
    api.answers.set()
    assert [status for status, _ in await asyncio.gather(*taken)] == [200, 200]
    assert (await stage.send("room_started", sid="RM_3"))[0] == 200


async def test_a_body_that_dawdles_is_408(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_READ_TIMEOUT", 0)

    async def body() -> AsyncIterator[bytes]:
        yield BODY[:1]
        await asyncio.Event().wait()

    headers = {"Authorization": sign(BODY)}
    async with stage.client.post("/livekit/webhook", data=body(), headers=headers) as response:
        assert response.status == 408


async def test_a_webhook_is_not_a_get(stage: Stage) -> None:
    async with stage.client.get("/livekit/webhook") as response:
        assert response.status == 405


async def test_the_gateway_is_ready_when_everything_is_listed(stage: Stage) -> None:
    for filled, expected in ((False, 503), (True, 200)):
        stage.directory.filled = filled
        async with stage.client.get("/readyz") as response:
            assert response.status == expected
        async with stage.client.get("/healthz") as response:
            assert response.status == 200


async def test_metrics_tell_how_long_a_session_took(stage: Stage) -> None:
    await stage.send("room_started")
    async with stage.client.get("/metrics") as response:
        text = await response.text()
    assert 'voicepod_gateway_webhooks_total{event="room_started",outcome="created"} 1.0' in text
    assert "voicepod_gateway_session_created_seconds_count 1.0" in text


async def test_no_secret_is_logged(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    await stage.send("room_started")
    await stage.send("room_started", credentials=THEIRS)
    await stage.post(b"not JSON", sign(b"not JSON"))
    token = sign(BODY, THEIRS)
    await stage.post(BODY, token)
    assert caplog.records
    for secret in (OURS.secret, THEIRS.secret, token):
        assert secret not in caplog.text


async def test_refused_webhooks_are_logged_once_in_a_while(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        await stage.post(BODY, None)
    assert caplog.text.count("one of the webhooks was answered with 401") == 1
