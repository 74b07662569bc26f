"""`python -m bench.scale`; SESSIONS=1000 MINUTES=1 for a look whether it works at all."""

import math
import os
import sys
import time
from dataclasses import dataclass

import uvloop

from bench import command
from bench.claim.result import max_rate
from bench.scale import report
from bench.scale.churn import Standing, churn, lost, settle
from bench.scale.watched import catch_up
from local.progress import step
from local.scale import kwok, ledger, rig
from local.scale.callers import call
from local.scale.held import Held, holding
from local.scale.site import PLANE
from local.scale.upkeep import Upkeep
from voicepod.kube import client

FEW = 100
"""Calls that are on while the time is measured that the others are compared with."""

# For how long a session is kept that has ended: its ledger is read until then.
_TTL = "30s"

# Pods of those who come and go: of a second operator's first half minute as well, in which none are
# deleted. Nodes that are full would measure the scheduler, which looks for room again and again.
_SPARE = 600

# Seconds in which a pool of five hundred must be full; and ten thousand pods be ready.
_PATIENCE = 300.0


@dataclass(frozen=True)
class Plan:
    """How much of it, and for how long."""

    sessions: int
    minutes: float
    rate: float
    """Sessions a second that come and go."""

    @property
    def pool(self) -> int:
        """Warm pods: one for each twenty calls."""
        return self.sessions // 20

    @property
    def nodes(self) -> int:
        """As many as hold all of it."""
        return math.ceil((self.sessions + self.pool + _SPARE) / int(kwok.CAPACITY["pods"]))

    @property
    def seconds(self) -> float:
        """Seconds for which they come: the same moments, beside few calls as beside many.

        The slowest are those of a second in which many come at once. Beside few calls for a shorter
        time there would be other such seconds, and the two could not be compared.
        """
        return 60 * self.minutes


async def measure(plan: Plan, upkeep: Upkeep) -> bool:
    """Measure all of it, and tell; returns whether every session went well."""
    async with client.connect(PLANE.kubeconfig_of("callers")) as kube, holding(kube) as held:
        few, many = Standing(FEW, plan.pool), Standing(plan.sessions, plan.pool)
        agent = rig.voice_agent(
            plan.pool, startDeadline="1h", maxDuration="24h", ttlAfterFinished=_TTL
        )
        rig.apply([agent])
        with step(f"waiting for {plan.pool} warm pods, then for {FEW} calls"):
            await settle(Standing(0, plan.pool), _PATIENCE)
            kept = [caller.uid for caller in await held.make(FEW)]
            await settle(few)
        reference = await churn(kube, "few", few, plan.rate, plan.seconds, kill=False)
        kept += await _lay_down(held, upkeep, plan)
        began = time.monotonic()
        with step("waiting for the operator to catch up"):
            await call(kube, "first", [0.0], talk=1.0)
            start = await catch_up(began, plan.sessions, plan.pool)
            await settle(many)
        starts = upkeep.starts
        scaled = await churn(kube, "many", many, plan.rate, plan.seconds, kill=True)
        return report.tell(
            report.Results(
                plan.rate,
                reference,
                scaled,
                start,
                lost(kept, await ledger.fetch()),
                unplanned=upkeep.starts - starts - 1,
                nodes=plan.nodes,
            )
        )


async def _lay_down(held: Held, upkeep: Upkeep, plan: Plan) -> list[str]:
    with step(f"laying down {plan.sessions - FEW} calls"), upkeep.away():
        return await held.lay_down(plan.sessions - FEW, plan.nodes, model="held-0000")


def main() -> None:
    """Bring everything up, measure, and take it down."""
    sessions, minutes = os.environ.get("SESSIONS", "10000"), os.environ.get("MINUTES", "5")
    with command.plainly():
        plan = Plan(int(sessions), float(minutes), rate=max_rate() / 2)
        with rig.running(plan.nodes, many_rooms=True) as upkeep:
            good = uvloop.run(measure(plan, upkeep))
    sys.exit(not good)


main()
