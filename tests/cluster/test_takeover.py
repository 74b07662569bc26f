"""A call goes on when its agent is killed, hangs, or loses its pod: with what was said in it."""

import time
from datetime import datetime

import pytest

from local import chart
from local.caller import Caller
from tests.cluster.stage import Stage
from tests.cluster.test_pool import filled
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms, client_session

pytestmark = pytest.mark.cluster

# As its image starts the agent, but not as the container's first process: that one cannot be killed
# from inside.
COMMAND = "trap 'kill $!' TERM; python agent.py start & echo $! > /tmp/agent; wait $!"
TEMPLATE = {
    "spec": {
        "containers": [
            {
                "name": "agent",
                "image": chart.AGENT_IMAGE,
                "command": ["sh", "-c", COMMAND],
                "resources": chart.AGENT_RESOURCES,
            }
        ]
    }
}


async def signal(stage: Stage, pod: str, name: str) -> None:
    """Send the agent's process a signal."""
    kill = f"kill -{name} $(cat /tmp/agent)"
    await stage.kubectl("exec", pod, "--container", "agent", "--", "sh", "-c", kill)


async def tell_the_name(caller: Caller) -> None:
    """Tell the agent who calls, and hear it out."""
    greeted = await caller.heard_speech()
    await caller.heard_silence(after=greeted)
    told = await caller.send_chat("My name is Robert.")
    await caller.read("Nice to meet you, Robert", after=told)
    await caller.heard_silence(after=told)


async def agents_in(stage: Stage, room: str) -> frozenset[str]:
    """Return who is in a room and is no caller."""
    cluster = stage.cluster
    credentials = Credentials(
        cluster.livekit_url, cluster.livekit_api_key, cluster.livekit_api_secret
    )
    async with client_session() as http:
        return (await Rooms(http, credentials).look(room)).others


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        # By its websocket or by its container, whichever is heard of first.
        ("KILL", ""),
        ("STOP", "the agent's event loop has stood still"),
        ("delete", "somebody deleted the agent's pod"),
    ],
    ids=["killed", "hung", "deleted"],
)
async def test_another_agent_goes_on_with_the_call_and_knows_who_calls(
    stage: Stage, fault: str, words: str
) -> None:
    name = fault.lower()
    prefix = await stage.apply_agent(name, template=TEMPLATE, pool={"min": 1, "max": 2})
    await filled(stage, name, 1)
    room = f"{prefix}1"

    async with stage.call(room) as caller:
        await tell_the_name(caller)
        session = (await stage.session_of(room))["metadata"]["name"]
        before = await stage.in_phase(session, "Active")
        await filled(stage, name, 1)

        struck = time.time()
        if fault == "delete":
            await stage.kubectl("delete", "pod", before["pod"], "--wait=false")
        else:
            await signal(stage, before["pod"], fault)

        await caller.read("Sorry, Robert, I was interrupted", after=struck)
        await caller.heard_speech(after=struck)
        asked = await caller.send_chat("What is my name?")
        await caller.read("Your name is Robert", after=asked)

        after = await stage.in_phase(session, "Active")
        assert after["identity"] == before["identity"]
        assert await agents_in(stage, room) == {after["identity"]}
        # On a starved machine a replacement may be lost as well, and be replaced.
        assert after["generation"] == len(after["lost"]) + 1
        assert after["lost"][0]["pod"] == before["pod"]
        assert words in after["lost"][0]["message"]

    await stage.in_phase(session, "Ended")


async def test_an_agent_whose_pod_is_deleted_talks_on_until_a_cold_one_has_come_up(
    stage: Stage,
) -> None:
    prefix = await stage.apply_agent("cold", pool={"min": 0, "max": 0})
    room = f"{prefix}1"

    async with stage.call(room) as caller:
        await tell_the_name(caller)
        session = (await stage.session_of(room))["metadata"]["name"]
        before = await stage.in_phase(session, "Active")
        struck = time.time()
        await stage.kubectl("delete", "pod", before["pod"], "--wait=false")
        await caller.read("Sorry, Robert, I was interrupted", after=struck)

        after = await stage.in_phase(session, "Active")
        (started,) = (await stage.pods())[after["pod"]]["status"]["containerStatuses"]
        up = datetime.fromisoformat(started["state"]["running"]["startedAt"]).timestamp()
        first, second = caller.agent_tracks
        assert first.ended
        assert up < first.ended <= second.published

    await stage.in_phase(session, "Ended")
