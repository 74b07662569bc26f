"""What nobody waits for gives way to calls that begin."""

import asyncio

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours, now
from tests.support.operator_stage import Stage
from tests.unit.reconcile.test_claims import call_in, warm_desk
from voicepod.kube.client import PODS
from voicepod.reconcile.rush import Rush

pytestmark = pytest.mark.unit

CALLS = 8

# In seconds: all of a test.
RUSH = 60.0


@in_hours
async def test_who_gives_way_goes_on_when_the_last_call_has_its_agent() -> None:
    rush = Rush()
    await rush.give_way()
    assert now() == 0
    with rush.of_a_call():
        waiting = asyncio.create_task(rush.give_way())
        with rush.of_a_call():
            await asyncio.sleep(0.1)
        assert not waiting.done()
    await waiting

    assert now() == 0.1


@in_hours
async def test_nobody_gives_way_for_long() -> None:
    rush = Rush()
    with rush.of_a_call():
        await rush.give_way()

    assert 0 < now() < 1


class Noted:
    """A fault that holds the first claim up, and notes when pods are made and deleted."""

    def __init__(self, rush: bool) -> None:
        self._rush = rush
        self._moments: dict[str, list[float]] = {"create": [], "delete": []}

    async def __call__(self, call: Call) -> None:
        if call.plural != PODS.plural:
            return
        if call.verb in self._moments:
            self._moments[call.verb].append(now())
        elif call.verb == "patch" and self._rush:
            self._rush = False
            await asyncio.sleep(RUSH)

    def took(self, verb: str) -> float:
        """From the first of these requests to the last, in seconds."""
        moments = self._moments[verb]
        assert len(moments) == CALLS
        return moments[-1] - moments[0]


async def come_and_go(rush: bool) -> Noted:
    """Have calls come to a full pool, and end, in a rush or not."""
    async with Stage() as stage:
        await warm_desk(stage, 5 * CALLS)
        stage.kube.fault = noted = Noted(rush)
        if rush:
            call_in(stage, "slow")
            await asyncio.sleep(0.1)
        for number in range(CALLS):
            call_in(stage, f"call-{number}")
        await asyncio.sleep(10)
        for number in range(CALLS):
            del stage.livekit.rooms[f"room of call-{number}"]
            stage.edit_session(f"call-{number}", end=True)
        await asyncio.sleep(30)
        return noted


@in_hours
async def test_in_a_rush_pools_are_refilled_and_what_is_left_is_deleted_little_by_little() -> None:
    calm, rush = await come_and_go(rush=False), await come_and_go(rush=True)

    assert (calm.took("create"), calm.took("delete")) == (0, 0)
    assert rush.took("create") > 0
    assert rush.took("delete") > 0
