"""Bugs that are put in on purpose, and found: the simulation can see what it is there for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.simulation.doors import PodsDoor, RoomsDoor
from tests.simulation.run import run
from voicepod.assignment.messages import Accepted, Assignment
from voicepod.builders import warm
from voicepod.gateway.sweep import Sweep
from voicepod.reconcile import claims

pytestmark = pytest.mark.simulation

Mutation = Callable[[pytest.MonkeyPatch], None]

# As many as a bug may take to be found.
_SEEDS: Final = 500


def no_precondition(patch: pytest.MonkeyPatch) -> None:
    """Claim a pod whatever has become of it."""

    def claim_patch(*arguments: Any) -> Any:
        body = warm.claim_patch(*arguments)
        del body["metadata"]["resourceVersion"]
        return body

    patch.setattr(claims, "claim_patch", claim_patch)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """Have each agent of a session join under another identity, and put none out."""

    async def assign(pods: PodsDoor, address: str, uid: str, assignment: Assignment) -> Accepted:
        job = f"{assignment.job_id}-{assignment.generation}"
        return await true_assign(pods, address, uid, replace(assignment, job_id=job))

    async def remove(*_: object) -> None:
        return None

    true_assign = PodsDoor.assign
    patch.setattr(PodsDoor, "assign", assign)
    patch.setattr(RoomsDoor, "remove", remove)


def no_sweep(patch: pytest.MonkeyPatch) -> None:
    """Know of rooms by webhooks alone."""

    async def nothing(_: Sweep) -> None:
        return None

    patch.setattr(Sweep, "once", nothing)


@pytest.mark.parametrize("mutation", [no_precondition, no_fence, no_sweep])
def test_a_bug_is_found(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)

    assert any(run(seed).broken for seed in range(_SEEDS))
