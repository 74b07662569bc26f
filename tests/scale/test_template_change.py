"""A new template while callers come: idle pods are replaced, and nobody notices."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from local.scale import ledger, rig
from local.scale.callers import call
from local.scale.site import NAMESPACE
from voicepod.kube.client import PODS, Kube

pytestmark = pytest.mark.scale

# So many that a machine which is slow to refill the pool does not empty it: that is to be the
# change's doing alone.
POOL = 60
PER_SECOND = 5
CALLERS = 100

# In seconds: all this is over in a fraction of it, on two cores that do nothing else.
PATIENCE = 500.0


def agent(version: str) -> dict[str, Any]:
    """Return the VoiceAgent with a template of this version."""
    manifest = rig.voice_agent(POOL, startDeadline="10m", ttlAfterFinished="2s")
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "VERSION", "value": version}]
    return manifest


async def of_old_template(callers: Kube) -> int:
    """Return how many pods have the template of before the change."""
    pods = await callers.list_all(PODS, NAMESPACE)
    env = [pod["spec"]["containers"][0]["env"] for pod in pods]
    return sum({"name": "VERSION", "value": "old"} in each for each in env)


@asynccontextmanager
async def counted() -> AsyncIterator[list[int]]:
    """Yield how many pods are warm, at each of many moments."""

    async def count() -> None:
        while True:
            warm.append(await ledger.warm())
            await asyncio.sleep(0.2)

    warm: list[int] = []
    async with asyncio.TaskGroup() as group:
        counting = group.create_task(count())
        yield warm
        counting.cancel()


async def test_a_template_change_under_calls_is_noticed_by_nobody(callers: Kube) -> None:
    rig.apply([agent("old")])
    await ledger.until(PATIENCE, pods=POOL, warm=POOL)

    async with counted() as warm:
        moments = [number / PER_SECOND for number in range(CALLERS)]
        calling = asyncio.create_task(call(callers, "change", moments, talk=5))
        await asyncio.sleep(moments[CALLERS // 4])
        await asyncio.to_thread(rig.apply, [agent("new")])
        called = await calling
        await ledger.until(PATIENCE, sessions=0, pods=POOL, warm=POOL)
        async with asyncio.timeout(PATIENCE):
            while await of_old_template(callers):  # noqa: ASYNC110 - a real pool has no event
                await asyncio.sleep(0.5)
        await ledger.until(PATIENCE, pods=POOL, warm=POOL)

    # A call that changed its pod, or whose pod went, is a failure.
    verdict = ledger.judge(called, await ledger.fetch())
    assert verdict.failures == []
    assert verdict.cold == 0
    assert min(warm) > 0
