"""The VoiceAgent whose calls they are, and the calls of a day, or of a part of it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from bench.nodes import day
from bench.nodes.day import Phase
from local.progress import step
from local.scale import karpenter, ledger, nodes
from local.scale.callers import Caller, call
from voicepod.kube.client import Kube

PLACES = 8
"""Agents on a node."""

POOL = {"min": 2, "max": 40}
"""More at the most than the pool ever wants: the operator sizes it."""

HEADROOM = 36
"""Placeholders: as many more calls as may be on when a node is there that is ordered now."""

# Seconds until the first pods are warm, or the last call's session is gone: one that never ends is
# a failure of the run.
_PATIENCE = 180.0


def agent() -> dict[str, Any]:
    """Return the manifest of the VoiceAgent."""
    # No caller is in these rooms, and none shall be missed: one call in 150 is of ten minutes.
    manifest = nodes.packed(POOL["min"], HEADROOM, startDeadline="1h", ttlAfterFinished="2s")
    manifest["spec"]["pool"] = POOL
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    container["resources"] = {"requests": karpenter.AGENT_REQUESTS}
    return manifest


async def go_by(kube: Kube, phases: Sequence[Phase], what: str) -> tuple[float, list[Caller]]:
    """Have the calls of some phases, until the last is over; return when they began, and them."""
    with step("waiting for a node, and the first warm pods"):
        await ledger.until(_PATIENCE, warm=POOL["min"], pods=POOL["min"])
    coming, length = day.calls(phases), sum(phase.seconds for phase in phases)
    with step(f"{what} of {len(coming)} calls in {length:g} s"):
        start = time.monotonic()
        moments, talks = zip(*coming, strict=True)
        called = await call(kube, "call", moments, talks)
        await asyncio.sleep(start + length - time.monotonic())
        await ledger.until(_PATIENCE + 10 * day.CALL_SECONDS, sessions=0)
    return start, called
