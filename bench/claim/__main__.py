"""`python -m bench.claim`; QUICK=1 for a minute's look whether it works at all."""

import os
import sys
from dataclasses import dataclass

import uvloop

from bench import command
from bench.claim import report, window
from local.scale import rig
from local.scale.site import PLANE
from voicepod.kube import client

JUDGED_RATE = 5.0
"""Sessions a second: the rate that latency and cost are told for."""

GOOD_P99 = 1.0
"""Seconds: a rate is kept up with while its p99 is below."""


@dataclass(frozen=True)
class Plan:
    """How long each rate is measured (seconds), and the quiet cluster before."""

    rates: dict[float, float]
    idle: float
    held: int


# A p99 of fewer than some hundred sessions is chance.
FULL = Plan({2: 60, JUDGED_RATE: 120, 10: 60, 20: 60, 30: 30, 40: 30}, idle=30, held=100)
QUICK = Plan({JUDGED_RATE: 10, 20: 5}, idle=5, held=20)


async def measure(plan: Plan) -> bool:
    """Measure all of it, and tell; returns whether every session went well."""
    async with client.connect(PLANE.kubeconfig_of("callers")) as callers:
        await window.fill_pool(window.pool_for(min(plan.rates)))
        idle = await window.idle(plan.idle)
        # Before an overloaded operator's backlog has made its memory what it stays.
        memory, held = await window.hold(callers, plan.held)
        windows = []
        for rate, seconds in plan.rates.items():
            windows.append(await window.measure(callers, rate, seconds))
            if rate >= JUDGED_RATE and report.p99(windows[-1]) >= GOOD_P99:
                break
    judged = next(one for one in windows if one.rate == JUDGED_RATE)
    return report.tell(
        report.Results(idle, windows, judged, GOOD_P99, plan.held, memory, held.failures)
    )


def main() -> None:
    """Bring everything up, measure, and take it down."""
    plan = QUICK if os.environ.get("QUICK") else FULL
    with command.plainly(), rig.running():
        good = uvloop.run(measure(plan))
    sys.exit(not good)


main()
