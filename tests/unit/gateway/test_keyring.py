"""Whose signature counts, and when Secrets are read."""

import asyncio

import pytest

from tests.support.fake_kube import Call, put_secret
from tests.unit.gateway.stage import OURS, THEIRS, Stage, sign
from voicepod.kube.client import SECRETS
from voicepod.kube.errors import Unavailable
from voicepod.livekit.credentials import Credentials

pytestmark = pytest.mark.unit

BODY = b'{"event": "room_started", "room": {"sid": "RM_1", "name": "lobby"}}'
ROTATED = Credentials(OURS.url, OURS.key, "rotated-secret-of-at-least-32-characters")


def rotate(stage: Stage, credentials: Credentials = ROTATED) -> None:
    put_secret(
        stage.kube,
        "voice",
        "ada-keys",
        LIVEKIT_API_KEY=credentials.key,
        LIVEKIT_API_SECRET=credentials.secret,
    )


def reads(stage: Stage) -> int:
    return sum(call.plural == "secrets" for call in stage.kube.calls)


async def away(_: Call) -> None:
    raise Unavailable("restarting")


async def test_each_key_pair_concerns_its_own_voiceagents(stage: Stage) -> None:
    stage.add_agent("ada")
    stage.add_agent("bea", credentials=THEIRS)
    await stage.send("room_started", sid="RM_1", credentials=OURS)
    await stage.send("room_started", sid="RM_2", credentials=THEIRS)
    agents = {s["spec"]["roomSid"]: s["spec"]["agentRef"]["name"] for s in stage.sessions()}
    assert agents == {"RM_1": "ada", "RM_2": "bea"}


async def test_two_voiceagents_with_one_key_are_both_meant(stage: Stage) -> None:
    stage.add_agent("ada", {"name": "lobby"})
    stage.add_agent("bea", {"name": "hall"}, namespace="other")
    await stage.send("room_started", room="hall")
    assert stage.sessions()[0]["metadata"]["namespace"] == "other"


async def test_whoever_calls_a_key_of_his_own_by_our_name_has_only_his_own_voiceagents(
    stage: Stage,
) -> None:
    stage.add_agent("ada")
    namesake = Credentials("ws://evil", OURS.key, "another-secret-of-at-least-32-characters")
    stage.add_agent("eve", namespace="evil", credentials=namesake)
    await stage.send("room_started", credentials=namesake)
    assert [s["metadata"]["namespace"] for s in stage.sessions()] == ["evil"]


async def test_secrets_are_read_once_for_many_webhooks(stage: Stage) -> None:
    stage.add_agent()
    for number in range(5):
        await stage.send("room_started", sid=f"RM_{number}")
    assert reads(stage) == 1


async def test_a_new_voiceagent_is_served_at_once(stage: Stage) -> None:
    stage.add_agent("ada", {"name": "lobby"})
    await stage.send("room_started", sid="RM_1")
    stage.add_agent("bea", {"name": "hall"})
    assert (await stage.send("room_started", room="hall", sid="RM_2"))[1] == {"outcome": "created"}


async def test_a_rotated_secret_counts_with_the_first_webhook_it_signs(stage: Stage) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    rotate(stage)
    stage.now += 5
    signer = await stage.keyring.verify(BODY, sign(BODY, ROTATED))
    assert signer.same_key_as(ROTATED)
    assert (await stage.post(BODY, sign(BODY)))[0] == 401


async def test_a_new_key_counts_as_well(stage: Stage) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    rotate(stage, THEIRS)
    stage.now += 5
    assert (await stage.keyring.verify(BODY, sign(BODY, THEIRS))).same_key_as(THEIRS)


async def test_webhooks_that_arrive_together_after_a_rotation_wait_for_one_read(
    stage: Stage,
) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    rotate(stage)
    stage.now += 5
    stage.kube.calls.clear()
    signers = await asyncio.gather(
        *(stage.keyring.verify(BODY, sign(BODY, ROTATED)) for _ in range(10))
    )
    assert all(signer.same_key_as(ROTATED) for signer in signers)
    assert reads(stage) == 1


async def test_a_flood_of_forged_webhooks_does_not_flood_the_api_server(stage: Stage) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    stage.kube.calls.clear()
    for _ in range(100):
        stage.now += 0.02
        assert (await stage.post(BODY, sign(BODY, THEIRS)))[0] == 401
    assert 1 <= reads(stage) <= 3


async def test_a_secret_that_was_withdrawn_is_not_believed_after_the_next_read(
    stage: Stage,
) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    stage.kube.remove(SECRETS, "voice", "ada-keys")
    reading = asyncio.create_task(stage.keyring.run())
    await asyncio.sleep(0)
    assert (await stage.post(BODY, sign(BODY)))[0] == 401
    reading.cancel()


async def test_a_secret_that_holds_no_credentials_is_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.add_agent()
    stage.kube.remove(SECRETS, "voice", "ada-keys")
    for _ in range(3):
        stage.now += 5
        assert (await stage.post(BODY, sign(BODY)))[0] == 401
    assert caplog.text.count("Secret voice/ada-keys does not exist") == 1
    rotate(stage, OURS)
    stage.now += 5
    assert (await stage.post(BODY, sign(BODY)))[0] == 200


async def test_known_secrets_count_while_the_api_server_is_away(stage: Stage) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    stage.kube.fault = away
    assert (await stage.keyring.verify(BODY, sign(BODY))).same_key_as(OURS)


async def test_a_signature_that_an_unread_secret_might_explain_is_asked_for_again(
    stage: Stage,
) -> None:
    stage.add_agent()
    stage.kube.fault = away
    assert (await stage.post(BODY, sign(BODY)))[0] == 503
    stage.kube.fault = None
    stage.now += 5
    assert (await stage.post(BODY, sign(BODY)))[0] == 200


async def test_a_signature_that_does_not_verify_while_the_api_server_is_away_may_be_a_rotated_one(
    stage: Stage,
) -> None:
    stage.add_agent()
    await stage.keyring.verify(BODY, sign(BODY))
    rotate(stage)
    stage.kube.fault = away
    stage.now += 5
    assert (await stage.post(BODY, sign(BODY, ROTATED)))[0] == 503
