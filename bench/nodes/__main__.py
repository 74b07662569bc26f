"""`python -m bench.nodes`; QUICK=1 for a look whether it works at all."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence

import uvloop

from bench import command
from bench.nodes import day, report
from bench.nodes.day import PACE, Phase
from bench.nodes.report import Seen
from bench.nodes.watch import evicted, watched
from local.progress import step
from local.scale import karpenter, ledger, nodes, rig
from local.scale.callers import call
from local.scale.karpenter import Autoscaled
from local.scale.site import PLANE
from voicepod.kube import client

PLACES = 8
"""Agents on a node."""

POOL = {"min": 2, "max": 40}
"""More at the most than the pool ever wants: the operator sizes it."""

HEADROOM = 36
"""Placeholders: as many more calls as may be on when a node is there that is ordered now."""

# Seconds until the first pods are warm, or the last call's session is gone: one that never ends is
# a failure of the run.
_PATIENCE = 180.0


async def measure(phases: Sequence[Phase]) -> bool:
    """Have the day go by, and tell; returns whether no call was disturbed."""
    coming = day.calls(phases)
    length = sum(phase.seconds for phase in phases)
    async with client.connect(PLANE.kubeconfig_of("callers")) as kube, watched(kube) as lives:
        # No caller is in these rooms, and none shall be missed: one call in 150 is of ten minutes.
        agent = nodes.packed(POOL["min"], HEADROOM, startDeadline="1h", ttlAfterFinished="2s")
        agent["spec"]["pool"] = POOL
        (agents,) = agent["spec"]["template"]["spec"]["containers"]
        agents["resources"] = {"requests": karpenter.AGENT_REQUESTS}
        (pool,) = nodes.documents("karpenter")
        rig.apply([*karpenter.adapted(pool, PACE), agent])
        with step("waiting for the first node, and its warm pods"):
            await ledger.until(_PATIENCE, warm=POOL["min"], pods=POOL["min"])
        with step(f"a day of {len(coming)} calls in {length:g} s"):
            start = time.monotonic()
            moments, talks = zip(*coming, strict=True)
            called = await call(kube, "call", moments, talks)
            await asyncio.sleep(start + length - time.monotonic())
            await ledger.until(_PATIENCE + 10 * day.CALL_SECONDS, sessions=0)
    return report.tell(
        Seen(
            phases,
            start,
            called,
            await ledger.fetch(),
            list(lives.values()),
            evicted(),
            PLACES,
            HEADROOM,
        )
    )


def main() -> None:
    """Bring everything up, measure, and take it down."""
    with command.plainly(), rig.running(Autoscaled(PLACES, PACE)):
        good = uvloop.run(measure(day.QUICK if os.environ.get("QUICK") else day.FULL))
    sys.exit(not good)


main()
