"""Bugs that are put in on purpose, and found: the simulation can see what it is there for."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from tests.simulation.run import run
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


def no_sweep(patch: pytest.MonkeyPatch) -> None:
    """Know of rooms by webhooks alone."""

    async def nothing(_: Sweep) -> None:
        return None

    patch.setattr(Sweep, "once", nothing)


@pytest.mark.parametrize("mutation", [no_precondition, no_sweep])
def test_a_bug_is_found(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation(monkeypatch)

    assert any(run(seed).broken for seed in range(_SEEDS))
