"""The manifests of docs/nodes, and head-room, before a real scheduler."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from local.layout import REPOSITORY
from local.run import run
from local.scale import nodes, rig
from local.scale.kwok import CAPACITY
from local.scale.site import NAMESPACE, PLANE
from voicepod.api.names import HEADROOM_PRIORITY, LABEL_AGENT, LABEL_HEADROOM
from voicepod.kube.client import PODS, VOICE_AGENTS, Kube

pytestmark = pytest.mark.scale

AGENT: Final = "packed"
AGENTS: Final = f"{LABEL_AGENT}={AGENT}"
PLACEHOLDERS: Final = f"{LABEL_HEADROOM}={AGENT}"
NODE: Final = int(CAPACITY["pods"])

# In seconds: all this takes a fraction of it, on two cores that do nothing else.
PATIENCE: Final = 300.0


def agent(pool: int, headroom: int) -> dict[str, Any]:
    """A VoiceAgent whose template has what the documentation says of nodes."""
    manifest = nodes.packed(pool, headroom)
    manifest["metadata"]["name"] = AGENT
    return manifest


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Leave nothing to the tests that follow."""
    yield
    options = "--namespace", NAMESPACE, "--ignore-not-found", "--cascade=foreground"
    run([*PLANE.kubectl, "delete", "va", AGENT, *options])


async def placed(kube: Kube, label: str, ready: int, pending: int = 0) -> set[str]:
    """Wait until so many pods are ready, and so many find no node; return where the ready are."""
    deadline = time.monotonic() + PATIENCE
    while True:
        pods = [
            pod
            for pod in await kube.list_all(PODS, NAMESPACE, label)
            if "deletionTimestamp" not in pod["metadata"]
        ]
        places = [pod["spec"]["nodeName"] for pod in pods if _is_ready(pod)]
        if (len(places), len(pods) - len(places)) == (ready, pending):
            return set(places)
        assert time.monotonic() < deadline, f"{len(places)} of {len(pods)} pods are ready: {label}"
        await asyncio.sleep(0.5)


async def told(kube: Kube, words: str) -> None:
    """Wait until the VoiceAgent says so of its placeholders, or nothing if there are no words."""
    deadline = time.monotonic() + PATIENCE
    while True:
        status = (await kube.get(VOICE_AGENTS, NAMESPACE, AGENT)).get("status", {})
        message = status.get("headroom", {}).get("message", "")
        if words in message and bool(words) == bool(message):
            return
        assert time.monotonic() < deadline, f"it says: {message!r}"
        await asyncio.sleep(0.5)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


async def test_a_refill_takes_a_placeholders_place_and_agents_fill_node_after_node(
    callers: Kube,
) -> None:
    held = NODE - 10
    rig.apply([nodes.node("agents-0"), agent(10, headroom=0)])
    await placed(callers, AGENTS, ready=10)
    rig.apply([agent(10, headroom=held)])
    await placed(callers, PLACEHOLDERS, ready=held)

    rig.apply([agent(15, headroom=held)])
    assert await placed(callers, AGENTS, ready=15) == {"agents-0"}
    # These are what an autoscaler brings a node for.
    await placed(callers, PLACEHOLDERS, ready=held - 5, pending=5)

    rig.apply([nodes.node("agents-1"), nodes.node("agents-2")])
    await placed(callers, PLACEHOLDERS, ready=held)
    rig.apply([agent(40, headroom=held)])
    assert len(await placed(callers, AGENTS, ready=40)) == 2, "the third node could go"

    rig.apply([agent(40, headroom=0)])
    await placed(callers, PLACEHOLDERS, ready=0)


async def test_a_missing_priority_class_is_told_until_it_is_there(callers: Kube) -> None:
    run([*PLANE.kubectl, "delete", "priorityclass", HEADROOM_PRIORITY])
    rig.apply([agent(0, headroom=1)])
    await told(callers, HEADROOM_PRIORITY)

    run([*PLANE.kubectl, "apply", "-f", REPOSITORY / "crds" / "headroom.yaml"])
    rig.apply([nodes.node("agents-0"), agent(0, headroom=2)])
    await placed(callers, PLACEHOLDERS, ready=2)
    await told(callers, "")
