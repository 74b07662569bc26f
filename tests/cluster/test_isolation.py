"""What an agent's pod holds and who can reach into its call: as little, and as few, as can be."""

import json
import time
import uuid

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from local import chart
from local.caller import Caller
from tests.cluster.stage import Json, Stage
from voicepod.kube.client import EVENTS, PODS, VOICE_SESSIONS

pytestmark = pytest.mark.cluster

SIDECAR_PORT = 9550


async def pod_of(stage: Stage, room: str) -> Json:
    """Return the pod that a room's call has."""
    session = await stage.session_of(room)
    status = await stage.in_phase(session["metadata"]["name"], "Active")
    return await stage.kube.get(PODS, stage.namespace, status["pod"])


async def is_answered(caller: Caller) -> None:
    """The call goes on: a question has its answer."""
    silent = await caller.heard_silence()
    asked = await caller.send_chat("When do you open?")
    assert await caller.heard_speech(after=max(silent, asked))


async def test_an_agents_pod_holds_no_key_to_anything_but_its_call(stage: Stage) -> None:
    prefix = await stage.apply_agent("sealed")

    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
        pod = await pod_of(stage, f"{prefix}1")
        name = pod["metadata"]["name"]
        environment = await stage.kubectl("exec", name, "--container", "agent", "--", "env")
        mounted = await stage.kubectl(
            *("exec", name, "--container", "agent", "--", "python", "-c"),
            "import os; print(os.path.exists('/var/run/secrets/kubernetes.io'))",
        )
        log = await stage.kubectl("logs", name, "--all-containers")

    real = stage.cluster.livekit_api_secret
    assert real not in environment
    assert "LIVEKIT_URL=ws://127.0.0.1:7880" in environment
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert mounted.strip() == "False"
    assert real not in json.dumps(pod)
    assert "eyJ" not in log, "a token stands in the log"


async def test_no_secret_is_told_to_those_who_look(stage: Stage) -> None:
    prefix = await stage.apply_agent("discreet")

    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
        pod = await pod_of(stage, f"{prefix}1")
        sidecar = await stage.kubectl("logs", pod["metadata"]["name"], "--container", "voicepod")
    session = await stage.session_of(f"{prefix}1")
    await stage.in_phase(session["metadata"]["name"], "Ended")

    told = [
        sidecar,
        json.dumps(await stage.kube.list_all(VOICE_SESSIONS, stage.namespace)),
        json.dumps(await stage.kube.list_all(EVENTS, stage.namespace)),
    ]
    for process in ("operator", "gateway"):
        selector = f"app.kubernetes.io/component={process}"
        where = ("--namespace", chart.NAMESPACE, "--selector", selector, "--tail=-1")
        told.append(await stage.kubectl("logs", *where))
        assert told[-1], f"the {process} says nothing at all"
    (agent,) = (one for one in pod["spec"]["containers"] if one["name"] == "agent")
    (own,) = (one["value"] for one in agent["env"] if one["name"] == "LIVEKIT_API_SECRET")
    for text in told:
        assert stage.cluster.livekit_api_secret not in text
        assert own not in text
        assert "eyJ" not in text, "a token is told"


async def test_a_call_cannot_be_ended_by_a_stranger(stage: Stage) -> None:
    prefix = await stage.apply_agent("guarded")

    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
        pod = await pod_of(stage, f"{prefix}1")
        claims = {
            "iss": "voicepod-operator",
            "aud": pod["metadata"]["uid"],
            "iat": int(time.time()),
            "exp": int(time.time()) + 30,
            "jti": str(uuid.uuid4()),
            "act": "end",
            "body": {"reason": "Requested"},
        }
        forged = jwt.encode(claims, Ed25519PrivateKey.generate(), algorithm="EdDSA")
        url = f"http://{pod['status']['podIP']}:{SIDECAR_PORT}"
        async with aiohttp.ClientSession() as client:
            async with client.post(f"{url}/v1/end", data=forged) as answer:
                assert answer.status == 401
                assert (await answer.json())["reason"] == "BadToken"
            guess = {"Authorization": "Bearer guess"}
            async with client.get(f"{url}/stopping", headers=guess) as answer:
                assert answer.status == 401
        await is_answered(caller)
