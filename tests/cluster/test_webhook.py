"""The gateway's port, as LiveKit and as strangers reach it: what it takes, and what it refuses."""

import base64
import hashlib
import io
import json
import secrets
import time
from datetime import timedelta

import aiohttp
import pytest
from livekit import api

from tests.cluster.stage import Stage
from voicepod.kube.client import VOICE_SESSIONS

pytestmark = pytest.mark.cluster


def event(room: str, age: float = 0.0) -> bytes:
    """Return the webhook of a room that was opened `age` seconds ago."""
    sid = f"RM_{secrets.token_hex(6)}"
    what = {
        "event": "room_started",
        "id": f"EV_{sid}",
        "createdAt": int(time.time() - age),
        "room": {"name": room, "sid": sid},
    }
    return json.dumps(what).encode()


def sign(key: str, secret: str, body: bytes) -> str:
    """Return the Authorization header that LiveKit posts a body with."""
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    token = api.AccessToken(key, secret).with_sha256(digest).with_ttl(timedelta(minutes=5))
    return token.to_jwt()


def signed(stage: Stage, body: bytes) -> str:
    """Return the Authorization header of a genuine webhook."""
    return sign(stage.cluster.livekit_api_key, stage.cluster.livekit_api_secret, body)


async def post(stage: Stage, body: bytes, authorization: str | None) -> tuple[int, str]:
    """Post a webhook to the gateway's Service, and return the answer."""
    url = f"{await stage.gateway()}/livekit/webhook"
    headers = {"Content-Type": "application/webhook+json"}
    if authorization is not None:
        headers["Authorization"] = authorization
    async with (
        aiohttp.ClientSession() as client,
        client.post(url, data=io.BytesIO(body), headers=headers) as answer,
    ):
        return answer.status, await answer.text()


@pytest.fixture
async def room(stage: Stage) -> str:
    """Return the name of a room that a VoiceAgent wants, and that only webhooks speak of."""
    prefix = await stage.apply_agent("wanted")
    await stage.kubectl("wait", "--for=condition=Ready", "va/wanted", "--timeout=60s")
    return f"{prefix}{secrets.token_hex(3)}"


async def test_a_signature_that_is_missing_or_forged_makes_nothing(stage: Stage, room: str) -> None:
    body, key = event(room), stage.cluster.livekit_api_key

    for authorization in (
        None,
        "Bearer nonsense",
        sign(key, secrets.token_hex(32), body),
        sign("APIsomebody", stage.cluster.livekit_api_secret, body),
    ):
        status, answer = await post(stage, body, authorization)
        assert status == 401, answer
    assert await stage.sessions(room) == []


async def test_a_key_counts_from_the_moment_that_its_secret_has_it_until_it_has_another(
    stage: Stage,
) -> None:
    livekit = {"url": stage.cluster.livekit_url, "credentialsSecretRef": {"name": "keys"}}
    await stage.apply_agent("keyed", livekit=livekit)
    key, old, new = "APIkeyed", secrets.token_hex(32), secrets.token_hex(32)
    body = event(f"nobody-wants-{secrets.token_hex(3)}")

    async def answer_is(expected: int, secret: str) -> None:
        async def so() -> bool:
            return (await post(stage, body, sign(key, secret, body)))[0] == expected

        await stage.eventually(f"the gateway answers {expected}", so)

    await answer_is(401, old)
    await stage.apply_secret("keys", LIVEKIT_API_KEY=key, LIVEKIT_API_SECRET=old)
    await answer_is(200, old)
    await stage.apply_secret("keys", LIVEKIT_API_KEY=key, LIVEKIT_API_SECRET=new)
    await answer_is(200, new)
    await answer_is(401, old)


async def test_a_body_other_than_the_signed_one_makes_nothing(stage: Stage, room: str) -> None:
    status, answer = await post(stage, event(room), signed(stage, event(f"{room}-other")))

    assert (status, "not the one that was signed" in answer) == (401, True), answer
    assert await stage.sessions(room) == []


async def test_a_body_that_is_too_large_or_no_json_is_refused(stage: Stage, room: str) -> None:
    for body, expected in ((b"x" * (1024 * 1024 + 1), 413), (b"not JSON", 400), (b"{}", 400)):
        status, answer = await post(stage, body, signed(stage, body))
        assert status == expected, answer


async def test_a_room_that_no_voiceagent_wants_is_fine_and_makes_nothing(stage: Stage) -> None:
    room = f"nobody-wants-{secrets.token_hex(3)}"
    body = event(room)

    status, answer = await post(stage, body, signed(stage, body))

    assert (status, json.loads(answer)) == (200, {"outcome": "unwanted"})
    everywhere = await stage.kube.list_all(VOICE_SESSIONS, None)
    assert room not in [session["spec"]["room"] for session in everywhere]


async def test_a_repeated_event_makes_one_session(stage: Stage, room: str) -> None:
    body = event(room)

    answers = [await post(stage, body, signed(stage, body)) for _ in range(4)]

    assert {status for status, _ in answers} == {200}, answers
    (session,) = await stage.sessions(room)
    # The room was never there: LiveKit says so, and the session ends by itself.
    status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
    assert status["endReason"] == "RoomClosed"
    await stage.pods_gone()


async def test_an_event_that_comes_late_of_a_room_that_is_gone_makes_nothing(
    stage: Stage, room: str
) -> None:
    body = event(room, age=3600)

    status, answer = await post(stage, body, signed(stage, body))

    assert (status, json.loads(answer)) == (200, {"outcome": "ignored"})
    assert await stage.sessions(room) == []


async def test_of_two_voiceagents_the_more_specific_gets_the_room_and_both_are_told(
    stage: Stage, room: str
) -> None:
    await stage.apply_agent("exact", rooms=[{"name": room}])
    body = event(room)

    await stage.kubectl("wait", "--for=condition=Ready", "va/exact", "--timeout=60s")

    status, answer = await post(stage, body, signed(stage, body))

    assert (status, json.loads(answer)) == (200, {"outcome": "created"})
    (session,) = await stage.sessions(room)
    assert session["spec"]["agentRef"] == {"name": "exact"}
    for agent in ("exact", "wanted"):
        assert room in await stage.event(agent, "RoomContested")
