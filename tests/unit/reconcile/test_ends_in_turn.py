"""Calls that end, or tell of something else: they let those pass that begin."""

import asyncio

import pytest

from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.support.slow import Slow
from tests.unit.reconcile.test_claims import call_in, owners, warm_desk
from voicepod.api.session import Phase
from voicepod.kube.client import PODS, VOICE_SESSIONS

pytestmark = pytest.mark.unit

# More than the loop has workers.
CALLS = 100

TOGETHER = 4
"""Ends at once, where each takes a moment."""


def slow_statuses(seconds: float) -> Slow:
    """Each takes so long, but for those of new calls."""
    statuses = ("patch", VOICE_SESSIONS.plural)
    return Slow(seconds, lambda call: (call.verb, call.plural) == statuses and call.name != "new")


async def talking(stage: Stage, calls: int) -> list[str]:
    """Have so many calls, and a pod more."""
    await warm_desk(stage, calls + 1)
    names = [f"call-{number:03}" for number in range(calls)]
    for name in names:
        call_in(stage, name)
    await asyncio.sleep(1)
    assert {stage.status(name).phase for name in names} == {Phase.ACTIVE}
    return names


def hang_up(stage: Stage, names: list[str]) -> None:
    """Have calls end together."""
    for name in names:
        del stage.livekit.rooms[f"room of {name}"]
        stage.edit_session(name, end=True)


@in_hours
async def test_calls_that_end_together_do_so_one_after_the_other() -> None:
    async with Stage() as stage:
        names = await talking(stage, CALLS)
        statuses = stage.kube.fault = slow_statuses(0.05)
        hang_up(stage, names)
        await asyncio.sleep(0.2)
        call_in(stage, "new")
        await asyncio.sleep(0.05)

        assert "new" in owners(stage)
        assert statuses.most == TOGETHER
        assert stage.queue.depth > CALLS / 2  # there are many to come
        await asyncio.sleep(60)
        assert list(owners(stage)) == ["new"]


@in_hours
async def test_one_that_waits_for_somebody_holds_up_no_other() -> None:
    async with Stage() as stage:
        names = await talking(stage, CALLS)
        statuses = stage.kube.fault = slow_statuses(60)
        hang_up(stage, names)
        await asyncio.sleep(59)

        assert statuses.most == CALLS


@in_hours
async def test_a_call_that_has_lost_its_pod_waits_for_none_that_ends() -> None:
    async with Stage() as stage:
        *names, unlucky = await talking(stage, CALLS)
        stage.kube.fault = slow_statuses(0.05)
        hang_up(stage, names)
        await asyncio.sleep(0.2)
        before = owners(stage)[unlucky]

        stage.kube.remove(PODS, "voice", before)
        await asyncio.sleep(0.2)

        assert owners(stage)[unlucky] != before
        assert stage.queue.depth > CALLS / 2
