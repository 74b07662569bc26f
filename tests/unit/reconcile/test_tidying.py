"""What is left of calls that are over: it goes, and holds up none that comes."""

import asyncio

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.support.slow import Slow
from tests.unit.reconcile.test_claims import call_in, owners, warm_desk
from voicepod.api.session import Phase
from voicepod.kube.client import PODS, VOICE_SESSIONS

pytestmark = pytest.mark.unit

# More than the loop has workers.
CALLS = 100


def slow_deletions() -> Slow:
    """Each takes a second."""
    return Slow(1, lambda call: call.verb == "delete")


@in_hours
async def test_calls_that_end_at_once_keep_nobody_from_getting_a_pod() -> None:
    async with Stage() as stage:
        await warm_desk(stage, CALLS + 1)
        for number in range(CALLS):
            call_in(stage, f"call-{number:03}", lifecycle={"ttlAfterFinished": "5s"})
        await asyncio.sleep(1)
        assert len(owners(stage)) == CALLS
        deletions = stage.kube.fault = slow_deletions()

        stage.livekit.rooms.clear()
        for number in range(CALLS):
            stage.edit_session(f"call-{number:03}", end=True)
        await asyncio.sleep(15)
        phases = {stage.status(f"call-{number:03}").phase for number in range(CALLS)}
        assert phases == {Phase.ENDED}
        assert len(owners(stage)) > CALLS / 2  # there is much left to delete
        call_in(stage, "new")
        await asyncio.sleep(0.5)

        assert "new" in owners(stage)
        await asyncio.sleep(3 * CALLS)
        assert list(owners(stage)) == ["new"]
        assert [item["metadata"]["name"] for item in stage.kube.objects(VOICE_SESSIONS)] == ["new"]
        assert deletions.most == 4


async def deleted(calls: int, seconds: float) -> int:
    """Have calls end at once; return how many of their pods are gone so many seconds later."""
    async with Stage() as stage:
        await warm_desk(stage, calls)
        for number in range(calls):
            call_in(stage, f"call-{number:03}")
        await asyncio.sleep(1)
        for number in range(calls):
            stage.edit_session(f"call-{number:03}", end=True)
        stage.kube.fault = slow_deletions()
        stage.livekit.rooms.clear()
        await asyncio.sleep(seconds)
        return calls - len(owners(stage))


@in_hours
async def test_the_more_calls_have_ended_the_less_it_rests() -> None:
    # Four at once, a second each, after ten in which the calls end. Of many it would be 60 with
    # rests as long as that, and of few all of them without any.
    assert await deleted(4 * CALLS, 40) > 100
    assert 0 < await deleted(8, 12.5) < 8


@in_hours
async def test_the_end_of_a_call_is_told_before_its_pod_goes() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        call_in(stage)
        await asyncio.sleep(1)
        phases: list[Phase] = []

        async def note(call: Call) -> None:
            if (call.verb, call.plural, call.name) == ("delete", PODS.plural, name):
                phases.append(stage.status().phase)

        stage.kube.fault = note
        stage.edit_session(end=True)
        await asyncio.sleep(20)

        assert phases == [Phase.ENDED]


@in_hours
async def test_a_new_operator_tidies_up_as_well() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)
        call_in(stage)
        await asyncio.sleep(1)

        async def gone_in_between(call: Call) -> None:
            if (call.verb, call.plural) == ("delete", PODS.plural):
                await asyncio.Event().wait()

        stage.kube.fault = gone_in_between
        stage.edit_session(end=True)
        await asyncio.sleep(20)
        assert stage.status().phase is Phase.ENDED
        assert "call" in owners(stage)

        stage.kube.fault = None
        await stage.restart_operator()
        await asyncio.sleep(1)

        assert owners(stage) == {}


@in_hours
async def test_of_calls_that_were_deleted_nothing_is_kept() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)
        call_in(stage, lifecycle={"ttlAfterFinished": "5s"})
        await asyncio.sleep(1)
        # The API server in memory has its watches tell of what goes before it answers.
        stage.livekit.rooms.clear()
        stage.edit_session(end=True)
        await asyncio.sleep(60)

        assert stage.kube.objects(VOICE_SESSIONS) == []
        assert (stage.world.records, owners(stage)) == ({}, {})
        assert [pod for pod in stage.world.pods.values() if pod.session] == []
