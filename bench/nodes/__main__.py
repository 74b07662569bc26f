"""`python -m bench.nodes`; QUICK=1 for a look whether it works at all."""

import math
import os
import sys
from collections.abc import Sequence

import uvloop

from bench import command
from bench.nodes import account, calls, day, report
from bench.nodes.calls import HEADROOM, PLACES, POOL
from bench.nodes.day import PACE, Phase
from bench.nodes.report import Seen
from bench.nodes.watch import evicted, watched
from local.scale import karpenter, ledger, nodes, rig
from local.scale.karpenter import Autoscaled
from local.scale.ledger import Verdict
from local.scale.site import PLANE
from voicepod.kube import client


async def morning(phases: Sequence[Phase]) -> Verdict:
    """Have the ramp's calls on nodes that are all there; return how they fared."""
    begin, end = day.bounds(phases)[-1]
    most = account.most([(at, at + talk) for at, talk in day.calls(phases)], (begin, end))
    there = math.ceil((most + POOL["max"] + HEADROOM) / PLACES)
    async with client.connect(PLANE.kubeconfig_of("callers")) as kube:
        rig.apply([*(nodes.node(f"there-{n}", PLACES) for n in range(there)), calls.agent()])
        start, called = await calls.go_by(kube, phases, f"a morning on {there} nodes")
    return ledger.judge(
        [one for one in called if begin <= one.due - start < end], await ledger.fetch()
    )


async def whole_day(phases: Sequence[Phase], on_nodes: Verdict) -> bool:
    """Have the day go by, and tell; returns whether no call was disturbed."""
    async with client.connect(PLANE.kubeconfig_of("callers")) as kube, watched(kube) as lives:
        (pool,) = nodes.documents("karpenter")
        rig.apply([*karpenter.adapted(pool, PACE), calls.agent()])
        start, called = await calls.go_by(kube, phases, "a day")
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
            on_nodes,
        )
    )


def main() -> None:
    """Bring everything up, measure, and take it down; twice, so that both begin with nothing."""
    phases = day.QUICK if os.environ.get("QUICK") else day.FULL
    with command.plainly():
        with rig.running(Autoscaled(PLACES, PACE)):
            on_nodes = uvloop.run(morning(day.until_peak(phases)))
        with rig.running(Autoscaled(PLACES, PACE)):
            good = uvloop.run(whole_day(phases, on_nodes))
    sys.exit(not good)


main()
