"""The token endpoint: who asks it for a token has the agent in the room, and one session."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from typing import Any

import aiohttp
import jwt
import pytest
from livekit import api

from local import chart
from local.cluster import Cluster
from tests.cluster.stage import LIFECYCLE, Stage

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def _tokens_for_anybody(cluster: Cluster) -> Iterator[None]:
    chart.install(cluster, "gateway.tokens.auth=anonymous")
    yield
    chart.install(cluster)


async def ask(stage: Stage, **fields: Any) -> tuple[int, dict[str, str]]:
    """Ask the gateway for a token as an SDK does."""
    url = f"{await stage.gateway()}/token"
    async with aiohttp.ClientSession() as client, client.post(url, json=fields) as answer:
        return answer.status, await answer.json()


def room_of(answer: dict[str, str]) -> str:
    """Return the room that an answer's token opens."""
    token = jwt.decode(answer["participant_token"], options={"verify_signature": False})
    room: str = token["video"]["room"]
    return room


async def sends_audio(stage: Stage, room: str) -> bool:
    """Whether somebody in a room has published an audio track."""
    key, secret = stage.cluster.livekit_api_key, stage.cluster.livekit_api_secret
    async with api.LiveKitAPI(stage.cluster.livekit_url, key, secret) as livekit:
        listed = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    tracks = (track for each in listed.participants for track in each.tracks)
    return any(track.type == api.TrackType.AUDIO for track in tracks)


async def warm(stage: Stage, agent: str) -> None:
    """Wait until a VoiceAgent has a pod that waits for a call."""

    async def there() -> bool:
        found = await stage.kubectl("get", f"va/{agent}", "--output", "json")
        return bool(json.loads(found).get("status", {}).get("warm"))

    await stage.eventually(f"VoiceAgent {agent} has a warm pod", there)


async def test_the_agent_awaits_a_caller_who_has_asked_for_a_token(stage: Stage) -> None:
    prefix = await stage.apply_agent("warm", pool={"min": 1})
    await warm(stage, "warm")
    room = f"{prefix}{secrets.token_hex(3)}"

    status, answer = await ask(stage, room_name=room, participant_identity="robert")

    assert status == 201, answer
    (session,) = await stage.sessions(room)
    name = session["metadata"]["name"]
    waiting = await stage.in_phase(name, "Active")
    assert "caller" not in waiting["times"]
    await stage.eventually("the agent's line stands", lambda: sends_audio(stage, room))
    async with stage.call_with(answer["server_url"], answer["participant_token"]) as caller:
        await caller.agent_track()
        await caller.heard_speech()
        # A caller who asks again, from another window, is in the same call.
        assert (await ask(stage, room_name=room))[0] == 201
    status_after = await stage.in_phase(name, "Ended", "Failed")
    assert status_after["endReason"] == "CallerLeft"
    assert len(await stage.sessions(room)) == 1


async def test_callers_of_a_cold_agent_come_before_it_and_have_one_session_each(
    stage: Stage,
) -> None:
    await stage.apply_agent("cold", rooms=[{"agentName": f"{stage.namespace}-cold"}])
    await stage.kubectl("wait", "--for=condition=Ready", "va/cold", "--timeout=60s")
    wanted = {"agents": [{"agent_name": f"{stage.namespace}-cold", "metadata": "vip"}]}

    async def call() -> str:
        status, answer = await ask(stage, room_config=wanted)
        assert status == 201, answer
        async with stage.call_with(answer["server_url"], answer["participant_token"]) as caller:
            await caller.heard_speech()
        return room_of(answer)

    rooms = await asyncio.gather(*(call() for _ in range(3)))

    assert len(set(rooms)) == 3
    for room in rooms:
        (session,) = await stage.sessions(room)
        assert session["spec"]["metadata"] == "vip"
        status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
        assert status["endReason"] == "CallerLeft"


async def test_a_caller_who_comes_back_with_the_token_has_the_agent_that_was_asked_for(
    stage: Stage,
) -> None:
    await stage.apply_agent("again", rooms=[{"agentName": f"{stage.namespace}-again"}])
    await stage.kubectl("wait", "--for=condition=Ready", "va/again", "--timeout=60s")
    wanted = {"agents": [{"agent_name": f"{stage.namespace}-again"}]}
    _, answer = await ask(stage, room_config=wanted)
    for number in (1, 2):
        async with stage.call_with(answer["server_url"], answer["participant_token"]) as caller:
            await caller.heard_speech()
        sessions = await stage.sessions(room_of(answer))
        assert len(sessions) == number
        for session in sessions:
            await stage.in_phase(session["metadata"]["name"], "Ended")


async def test_a_caller_who_never_comes_costs_no_more_than_the_deadline(stage: Stage) -> None:
    prefix = await stage.apply_agent("never", lifecycle={**LIFECYCLE, "startDeadline": "30s"})
    await stage.kubectl("wait", "--for=condition=Ready", "va/never", "--timeout=60s")
    room = f"{prefix}{secrets.token_hex(3)}"

    assert (await ask(stage, room_name=room))[0] == 201

    (session,) = await stage.sessions(room)
    status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
    assert (status["phase"], status["endReason"]) == ("Ended", "CallerNeverCame")
    await stage.pods_gone()


async def test_a_room_that_no_voiceagent_wants_gets_no_token(stage: Stage) -> None:
    status, answer = await ask(stage, room_name=f"nobody-wants-{secrets.token_hex(3)}")
    assert (status, answer["error"].startswith("room_name: ")) == (422, True)
