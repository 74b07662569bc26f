"""A node that is drained by kubectl: its live call holds it up, and a pod that waits does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.cluster.stage import PATIENCE, Stage
from tests.cluster.test_pool import filled, warm_pods
from voicepod.api.names import BUDGET
from voicepod.kube.client import BUDGETS, VOICE_AGENTS
from voicepod.kube.errors import NotFound

pytestmark = pytest.mark.cluster


@asynccontextmanager
async def cordoned(stage: Stage, pod: str) -> AsyncIterator[str]:
    """Cordon the node of a pod, until the end; yields its name."""
    found = json.loads(await stage.kubectl("get", "pod", pod, "--output", "json"))
    node = found["spec"]["nodeName"]
    try:
        await stage.kubectl("cordon", node)
        yield node
    finally:
        await stage.kubectl("uncordon", node)


async def guarded(stage: Stage) -> bool:
    """Whether calls cannot be evicted."""
    try:
        budget = await stage.kube.get(BUDGETS, stage.namespace, BUDGET)
    except NotFound:
        return False
    return bool(budget.get("status", {}).get("currentHealthy") == 1)


async def test_kubectl_drain_waits_for_a_call_and_takes_a_pod_that_waits(stage: Stage) -> None:
    prefix = await stage.apply_agent("drained", pool={"min": 1, "max": 2})
    (claimed,) = await filled(stage, "drained", 1)

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        (waiting,) = await filled(stage, "drained", 1)

        async with cordoned(stage, claimed) as node:
            await stage.eventually("the call is guarded", lambda: guarded(stage))
            drain = asyncio.create_task(
                # Of this test's pods alone: it is everybody's node.
                stage.kubectl(
                    *("drain", node, f"--timeout={PATIENCE:.0f}s"),
                    *("--pod-selector", "voicepod.dev/agent=drained"),
                )
            )

            async def moved() -> bool:
                return waiting not in await warm_pods(stage, "drained")

            await stage.eventually("the pod that waited has left the node", moved)
            asked = await caller.send_chat("When do you open?")
            await caller.heard_speech(after=asked)
            session = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
            status = await stage.status(session)
            assert (status["pod"], status["generation"]) == (claimed, 1)
            assert not drain.done()

            async def told() -> bool:
                agent = await stage.kube.get(VOICE_AGENTS, stage.namespace, "drained")
                return agent["status"].get("draining") == 1 and "drainedBy" in agent["status"]

            await stage.eventually("the VoiceAgent tells of the call", told)
            await stage.event("drained", "Draining", node)

            await stage.end(session)
            assert f"node/{node} drained" in await drain
            await stage.event("drained", "Drained")
            await stage.gone(BUDGETS, BUDGET)
