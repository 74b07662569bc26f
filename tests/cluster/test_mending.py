"""What keeps a session from starting is said where it is looked for, and mending it is enough."""

import asyncio
import secrets

import pytest

from local import chart
from tests.cluster.stage import Json, Stage

pytestmark = pytest.mark.cluster

# Refused at once on any machine: nothing listens on port 9, "discard".
NO_LIVEKIT = "ws://127.0.0.1:9"


async def apply(stage: Stage, name: str, url: str = "") -> None:
    """Apply a VoiceAgent with a Secret of its name, and a session of the same name."""
    livekit = {
        "url": url or stage.cluster.livekit_url,
        "credentialsSecretRef": {"name": name},
    }
    await stage.apply_agent(name, livekit=livekit)
    await stage.apply_session(name, name)


async def complains(stage: Stage, session: str, reason: str, *words: str) -> None:
    """A session's condition and Event say what is to be mended; nothing was started for it."""
    status = await stage.because(session, reason)
    assert status["phase"] == "Pending"
    (accepted,) = [one for one in status["conditions"] if one["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("False", reason)
    told = await stage.event(session, reason)
    for word in words:
        assert word in accepted["message"]
        assert word in told


async def goes_on(stage: Stage, session: str) -> None:
    """A session becomes Active by itself; end it then."""
    await stage.in_phase(session, "Active")
    await stage.end(session)
    await stage.in_phase(session, "Ended")


async def test_a_session_goes_on_when_its_voiceagent_appears(stage: Stage) -> None:
    await stage.apply_session("early", "late")
    await complains(stage, "early", "AgentNotFound", "no VoiceAgent late")
    await stage.apply_agent("late")
    await goes_on(stage, "early")


async def test_a_session_goes_on_when_livekit_can_be_used(stage: Stage) -> None:
    key, value = stage.cluster.livekit_api_key, stage.cluster.livekit_api_secret
    right = {"LIVEKIT_API_KEY": key, "LIVEKIT_API_SECRET": value}

    async def no_secret() -> None:
        await apply(stage, "absent")
        await complains(stage, "absent", "SecretNotFound", f"{stage.namespace}/absent")
        await stage.apply_secret("absent", **right)

    async def no_key() -> None:
        await stage.apply_secret("halved", LIVEKIT_API_KEY=key)
        await apply(stage, "halved")
        await complains(stage, "halved", "SecretKeyMissing", "halved", "LIVEKIT_API_SECRET")
        await stage.apply_secret("halved", **right)

    async def wrong_key() -> None:
        wrong = right | {"LIVEKIT_API_SECRET": secrets.token_hex(32)}
        await stage.apply_secret("wrong", **wrong)
        await apply(stage, "wrong")
        await complains(stage, "wrong", "LiveKitUnauthorized", stage.cluster.livekit_url)
        await stage.apply_secret("wrong", **right)

    async def no_server() -> None:
        await stage.apply_secret("deaf", **right)
        await apply(stage, "deaf", url=NO_LIVEKIT)
        await complains(stage, "deaf", "LiveKitUnreachable", NO_LIVEKIT)
        await apply(stage, "deaf")

    async def mended(name: str) -> None:
        await goes_on(stage, name)
        await stage.kubectl("wait", "--for=condition=Ready", f"va/{name}", "--timeout=60s")

    await asyncio.gather(no_secret(), no_key(), wrong_key(), no_server())
    await asyncio.gather(*(mended(name) for name in ("absent", "halved", "wrong", "deaf")))


async def test_a_session_goes_on_when_the_api_server_takes_the_pod(stage: Stage) -> None:
    agent = {"name": "agent", "image": chart.AGENT_IMAGE}
    refused: dict[str, tuple[Json, str]] = {
        "invalid": (
            {"containers": [{**agent, "ports": [{"containerPort": 70000}]}]},
            "containerPort",
        ),
        "unsafe": ({"containers": [agent], "hostNetwork": True}, "violates PodSecurity"),
        "unread": (
            {"containers": [{**agent, "resources": {"limits": {"cpu": "much"}}}]},
            "quantities must match",
        ),
    }

    async def is_mended(name: str) -> None:
        spec, words = refused[name]
        await stage.apply_agent(name, template={"spec": spec})
        await stage.apply_session(name, name)
        await complains(stage, name, "TemplateRefused", words)
        await stage.apply_agent(name)
        await goes_on(stage, name)

    await asyncio.gather(*(is_mended(name) for name in refused))
