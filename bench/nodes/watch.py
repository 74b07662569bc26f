"""What is seen of Karpenter's nodes: each from its order until it is gone."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.nodes.account import Span
from local.scale.site import AUDIT_LOG
from voicepod.kube.client import Kube, Resource

CLAIMS = Resource("karpenter.sh", "v1", "nodeclaims")

# Seconds between two looks: little beside the minutes that a node is there.
_LOOK_EVERY = 0.5


@dataclass(slots=True)
class NodeLife:
    """One node, by the monotonic clock. It is paid for from its order on."""

    ordered: float
    name: str = ""
    gone: float = math.inf

    @property
    def span(self) -> Span:
        """When it was there."""
        return self.ordered, self.gone


@asynccontextmanager
async def watched(kube: Kube) -> AsyncIterator[dict[str, NodeLife]]:
    """Yield the nodes that were ever there, which are followed while the ``async with`` lasts."""
    nodes: dict[str, NodeLife] = {}

    async def follow() -> None:
        while True:
            await _look(kube, nodes)
            await asyncio.sleep(_LOOK_EVERY)

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow())
        yield nodes
        following.cancel()


async def _look(kube: Kube, nodes: dict[str, NodeLife]) -> None:
    claims = await kube.list_all(CLAIMS, None)
    now, there = time.monotonic(), set()
    for claim in claims:
        uid = claim["metadata"]["uid"]
        there.add(uid)
        life = nodes.setdefault(uid, NodeLife(now))
        life.name = claim.get("status", {}).get("nodeName", life.name)
    for uid, life in nodes.items():
        if uid not in there:
            life.gone = min(life.gone, now)


def evicted() -> list[str]:
    """Return the names of the pods that were evicted, by the audit log."""
    with AUDIT_LOG.open("rb") as log:
        events = [json.loads(line) for line in log if b'"eviction"' in line]
    return [
        event["objectRef"]["name"]
        for event in events
        if event["objectRef"].get("subresource") == "eviction"
        and event["responseStatus"]["code"] < 300
    ]
