"""Bugs to put in on purpose: each takes away what keeps one of the invariants."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.simulation.doors import RoomsDoor
from tests.simulation.run import Result, run
from voicepod.assignment.messages import Accepted
from voicepod.builders import warm
from voicepod.checkpoints import Checkpoints
from voicepod.gateway.reception import Reception
from voicepod.gateway.sweep import Sweep
from voicepod.reconcile import actor, claims, decide, pool
from voicepod.reconcile.drain import BudgetReconciler
from voicepod.reconcile.objects import Pod
from voicepod.reconcile.pool_plan import Plan, plan
from voicepod.reconcile.sessions import Outcome


def no_precondition(patch: pytest.MonkeyPatch) -> None:
    """Claim a pod whatever has become of it."""

    def claim_patch(*arguments: Any) -> Any:
        body = warm.claim_patch(*arguments)
        del body["metadata"]["resourceVersion"]
        return body

    patch.setattr(claims, "claim_patch", claim_patch)


def forgotten_claim(patch: pytest.MonkeyPatch) -> None:
    """Take a claim whose answer got lost for one that was not granted."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr(claims.Claims, "look_up", nothing)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Have each agent of a room join under another identity, and put none out."""

    def own(accepted: Accepted, job_id: str, _: str) -> Accepted:
        count["agents"] += 1
        return replace(accepted, identity=f"agent-{job_id}-{count['agents']}")

    async def remove(*_: object) -> None:
        return None

    count = {"agents": 0}
    patch.setattr(actor, "fenced", own)
    patch.setattr(RoomsDoor, "remove", remove)


def no_memory(patch: pytest.MonkeyPatch) -> None:
    """Have an agent that takes a call over know nothing of it."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr(Checkpoints, "newest", nothing)


def no_sweep(patch: pytest.MonkeyPatch) -> None:
    """Know of rooms by webhooks alone."""

    async def nothing(_: Sweep) -> None:
        return None

    patch.setattr(Sweep, "once", nothing)


def no_limit(patch: pytest.MonkeyPatch) -> None:
    """Replace agents for ever."""
    patch.setattr(decide, "is_given_up", lambda _: False)


def overfull(patch: pytest.MonkeyPatch) -> None:
    """Count only pods that are ready among those of a pool, as if the others did not come."""

    def ready_alone(pods: list[Pod], *more: Any) -> Plan:
        return plan([pod for pod in pods if pod.ready], *more)

    patch.setattr(pool, "plan", ready_alone)


def no_budget(patch: pytest.MonkeyPatch) -> None:
    """Leave calls on cordoned nodes to whoever evicts them."""

    async def nothing(*_: object) -> Outcome:
        return Outcome()

    patch.setattr(BudgetReconciler, "reconcile", nothing)


def no_parting(patch: pytest.MonkeyPatch) -> None:
    """Give a caller whose call was ended on purpose another agent."""
    patch.setattr(Reception, "_parted", lambda *_: None)


MUTATIONS: Final[dict[str, Callable[[pytest.MonkeyPatch], None]]] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        no_precondition,
        forgotten_claim,
        no_fence,
        no_memory,
        no_sweep,
        no_limit,
        overfull,
        no_budget,
        no_parting,
    )
}


def find(bug: str, seeds: Iterable[int]) -> Result | None:
    """Put a bug in, and return the first run that it breaks. Raises KeyError."""
    with pytest.MonkeyPatch.context() as patch:
        MUTATIONS[bug](patch)
        return next((result for result in map(run, seeds) if result.broken), None)
