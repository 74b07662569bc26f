"""Nodes that are drained: calls are guarded, pods that wait move, and it is told for how long."""

import asyncio
from datetime import timedelta

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import NOON, Stage
from tests.unit.reconcile.test_claims import be_ready, call_in, owners, warm_desk
from voicepod.api.agent import VoiceAgentStatus
from voicepod.api.session import Phase
from voicepod.kube.client import BUDGETS, PODS, VOICE_AGENTS
from voicepod.kube.errors import Refused, Unavailable

pytestmark = pytest.mark.unit

NODE = "node-1"


def guarded(stage: Stage) -> list[str]:
    """The namespaces whose calls cannot be evicted."""
    return [item["metadata"]["namespace"] for item in stage.kube.objects(BUDGETS)]


def asked(stage: Stage) -> list[str]:
    """What was done about budgets."""
    return [call.verb for call in stage.kube.calls if call.plural == BUDGETS.plural]


def status_of_desk(stage: Stage) -> VoiceAgentStatus:
    (agent,) = stage.kube.objects(VOICE_AGENTS)
    return VoiceAgentStatus.model_validate(agent["status"])


async def hang_up(stage: Stage, name: str = "call") -> None:
    """End a call, and wait until its pod is gone."""
    stage.edit_session(name, end=True)
    await asyncio.sleep(15)


async def in_call(stage: Stage) -> None:
    """A call on the node."""
    await warm_desk(stage, 1)
    call_in(stage)
    await asyncio.sleep(0.3)
    assert stage.status().phase is Phase.ACTIVE


@in_hours
async def test_calls_are_guarded_while_their_node_is_cordoned_and_at_no_other_time() -> None:
    async with Stage() as stage:
        await in_call(stage)
        assert guarded(stage) == []

        stage.cordon(NODE)
        await asyncio.sleep(0.1)
        assert guarded(stage) == ["voice"]

        stage.cordon(NODE, cordoned=False)
        await asyncio.sleep(0.1)
        assert guarded(stage) == []


@in_hours
async def test_the_last_call_on_cordoned_nodes_takes_its_guard_with_it() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 2)
        for name in ("one", "two"):
            call_in(stage, name)
        await asyncio.sleep(0.5)
        stage.cordon(NODE)
        await asyncio.sleep(0.5)

        await hang_up(stage, "one")
        assert guarded(stage) == ["voice"]
        await hang_up(stage, "two")
        assert guarded(stage) == []


@in_hours
async def test_calls_on_other_nodes_need_no_guard() -> None:
    async with Stage() as stage:
        await in_call(stage)

        stage.cordon("node-2")
        await hang_up(stage)

        # Whether the operator that led before has left one.
        assert asked(stage) == ["get"]


@in_hours
async def test_a_call_that_comes_to_a_cordoned_node_is_guarded() -> None:
    async with Stage() as stage:
        spared, _ = await warm_desk(stage, 2)
        stage.cordon(NODE)
        await asyncio.sleep(0.5)
        assert guarded(stage) == []

        call_in(stage)
        await asyncio.sleep(0.5)

        assert owners(stage) == {"call": spared}
        assert guarded(stage) == ["voice"]


@in_hours
async def test_a_guard_whose_making_was_not_answered_is_made_again_and_goes_in_the_end() -> None:
    async with Stage() as stage:
        await in_call(stage)
        create = stage.kube.create

        async def answer_lost(*arguments: object) -> None:
            stage.kube.create = create  # type: ignore[method-assign]
            await create(*arguments)  # type: ignore[arg-type]
            raise Unavailable("the answer got lost")

        stage.kube.create = answer_lost  # type: ignore[assignment]
        stage.cordon(NODE)
        await asyncio.sleep(5)
        assert guarded(stage) == ["voice"]

        await hang_up(stage)
        assert guarded(stage) == []


@in_hours
async def test_an_operator_that_begins_to_lead_takes_a_guard_away_that_nobody_needs() -> None:
    async with Stage() as stage:
        await in_call(stage)
        stage.cordon(NODE)
        await asyncio.sleep(0.5)
        await stage.stop_operator()
        stage.cordon(NODE, cordoned=False)
        assert guarded(stage) == ["voice"]

        await stage.restart_operator()
        await asyncio.sleep(0.5)

        assert guarded(stage) == []


@in_hours
async def test_a_guard_that_somebody_deletes_is_not_made_again_for_the_same_drain() -> None:
    async with Stage() as stage:
        await in_call(stage)
        stage.cordon(NODE)
        await asyncio.sleep(0.5)

        stage.kube.remove(BUDGETS, "voice", "voicepod-live-calls")
        await hang_up(stage)

        assert guarded(stage) == []
        assert asked(stage).count("create") == 1


@in_hours
async def test_a_guard_that_is_refused_is_tried_again_until_it_is_allowed() -> None:
    async with Stage() as stage:
        await in_call(stage)

        async def forbidden(call: Call) -> None:
            if call.plural == BUDGETS.plural:
                raise Refused("poddisruptionbudgets is forbidden")

        stage.kube.fault = forbidden
        stage.cordon(NODE)
        await asyncio.sleep(60)
        assert stage.status().phase is Phase.ACTIVE

        stage.kube.fault = None
        await asyncio.sleep(30)
        assert guarded(stage) == ["voice"]


@in_hours
async def test_a_call_that_is_evicted_before_it_is_guarded_is_taken_over_on_another_node() -> None:
    async with Stage() as stage:
        evicted, spare = await warm_desk(stage, 2)
        be_ready(stage, spare, "node-2")
        call_in(stage)
        await asyncio.sleep(0.3)
        assert owners(stage) == {"call": evicted}

        stage.kube.graceful = frozenset({PODS})
        stage.cordon(NODE)
        stage.kube.let_go(PODS, "voice", evicted)
        await asyncio.sleep(0.5)

        assert (stage.status().pod, stage.status().generation) == (spare, 2)


@in_hours
async def test_new_calls_go_to_nodes_that_are_not_cordoned_even_if_fewer_calls_are_there() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 3, "max": 3})
        await asyncio.sleep(0.5)
        first, second, third = stage.pod_names()
        for name, node in ((first, NODE), (second, NODE), (third, "node-2")):
            be_ready(stage, name, node)
        call_in(stage, "one")
        await asyncio.sleep(0.3)
        assert owners(stage) == {"one": first}

        # The pods that are left there are still known when the call comes.
        stage.world.cordoned[NODE] = NOON
        call_in(stage, "two")
        await asyncio.sleep(0.3)

        assert owners(stage) == {"one": first, "two": third}


@in_hours
async def test_pods_that_wait_leave_a_cordoned_node_at_once_but_the_last_after_another() -> None:
    async with Stage() as stage:
        first, *others = await warm_desk(stage, 3)

        stage.cordon(NODE)
        await asyncio.sleep(0.5)
        there = stage.pod_names()
        assert first in there
        assert not set(others) & set(there)
        assert len(there) == 3

        for name in set(there) - {first}:
            be_ready(stage, name, "node-2")
        await asyncio.sleep(0.5)
        assert first not in stage.pod_names()
        assert len(stage.pod_names()) == 3


@in_hours
async def test_pods_that_tolerate_a_cordoned_node_are_not_made_anew_for_ever() -> None:
    async with Stage() as stage:
        before = await warm_desk(stage, 2)
        stage.cordon(NODE)
        for _ in range(10):
            await asyncio.sleep(2)
            for name in set(stage.pod_names()) - set(before):
                be_ready(stage, name)
        after = stage.pod_names()
        assert len(after) == 2
        assert not set(before) & set(after)

        await asyncio.sleep(60)
        assert stage.pod_names() == after


@in_hours
async def test_it_is_told_which_calls_keep_a_node_from_being_free_and_until_when() -> None:
    async with Stage() as stage:
        await in_call(stage)
        await asyncio.sleep(4)
        assert (status_of_desk(stage).draining, status_of_desk(stage).drained_by) == (0, None)

        stage.cordon(NODE)
        await asyncio.sleep(4)
        joined = stage.status().times.joined
        assert joined
        status = status_of_desk(stage)
        assert status.draining == 1
        # maxDuration
        assert status.drained_by == joined + timedelta(hours=2)

        await hang_up(stage)
        status = status_of_desk(stage)
        assert (status.draining, status.drained_by) == (0, None)
        told = [note.message for _, note in stage.events.notes if note.reason.startswith("Drain")]
        assert told == [
            "on cordoned nodes (node-1) calls go on: 1, "
            "until 2026-01-01 14:00:01 UTC at the latest",
            "no call is on a cordoned node any more",
        ]


@in_hours
async def test_a_call_whose_agent_has_not_joined_may_take_its_start_deadline_as_well() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        stage.sidecar(name).joins = False
        call_in(stage)
        await asyncio.sleep(0.5)
        stage.cordon(NODE)
        await asyncio.sleep(4)

        claimed = stage.status().times.claimed
        assert claimed
        assert status_of_desk(stage).drained_by == claimed + timedelta(hours=2, seconds=60)
