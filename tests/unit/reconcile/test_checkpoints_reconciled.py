"""What was said in a call finds its way to the agent that takes it over."""

import asyncio
from unittest.mock import AsyncMock, patch

import pytest

from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.unit.reconcile import pods
from tests.unit.reconcile.test_sessions_reconciled import live_call
from voicepod.api.session import Phase
from voicepod.assignment.messages import Act, EndReason
from voicepod.checkpoints import Checkpoints
from voicepod.kube.client import PODS

pytestmark = pytest.mark.unit

REDIS = {"redisSecretRef": {"name": "redis"}}


async def taken_over(stage: Stage, generation: int) -> str | None:
    """Have the next pod come up, and return the conversation that its agent is given."""
    name = f"call-{generation}"
    stage.sidecar(name).register(stage.sessions.clock())
    stage.kubelet(pods.IS_READY["status"], name)
    await asyncio.sleep(3)
    status = stage.status()
    assert (status.phase, status.pod) == (Phase.ACTIVE, name)
    assignment = stage.sidecar(name).assignment
    assert assignment
    return assignment.checkpoint


async def loses_its_agent(stage: Stage, generation: int) -> None:
    """Have the sidecar of a pod tell that its agent is lost."""
    name = f"call-{generation}"
    stage.sidecar(name).end(stage.sessions.clock(), EndReason.AGENT_HUNG, "it hangs")
    stage.hint(name)
    await asyncio.sleep(5)  # the third comes after a pause


def be_deleted(stage: Stage) -> None:
    """Have somebody delete the only pod, whose agent goes on meanwhile."""
    (pod,) = stage.kube.objects(PODS)
    metadata = {**pod["metadata"], "deletionTimestamp": "2026-01-01T12:00:05Z"}
    stage.kube.put(PODS, "voice", {**pod, "metadata": metadata})


@in_hours
async def test_the_first_agent_of_a_call_knows_nothing_and_nobody_is_asked() -> None:
    async with Stage() as stage:
        await live_call(stage)
        assignment = stage.sidecar().assignment
        assert assignment
        assert assignment.checkpoint is None
        assert Act.CHECKPOINT not in stage.pods.asked


@in_hours
async def test_the_next_one_knows_what_the_pod_before_knew() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().checkpoint = "so far"
        await loses_its_agent(stage, 1)
        assert await taken_over(stage, 2) == "so far"


@in_hours
async def test_one_that_is_lost_without_a_word_hands_on_what_it_was_given() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().checkpoint = "so far"
        for generation in (1, 2, 3):
            await loses_its_agent(stage, generation)
            assert await taken_over(stage, generation + 1) == "so far"


@in_hours
async def test_a_pod_that_somebody_deletes_is_asked_while_it_is_there() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().checkpoint = "so far"
        be_deleted(stage)
        await asyncio.sleep(1)
        stage.kube.remove(PODS, "voice", "call-1")
        assert await taken_over(stage, 2) == "so far"


@in_hours
async def test_what_its_agent_says_until_another_pod_has_come_up_is_known_as_well() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().checkpoint = "so far"
        be_deleted(stage)
        await asyncio.sleep(1)
        stage.sidecar().checkpoint = "so far, and more"
        assert await taken_over(stage, 2) == "so far, and more"


@in_hours
async def test_what_a_pod_has_taken_with_it_is_asked_of_redis() -> None:
    async with Stage() as stage:
        await live_call(stage, checkpoint=REDIS)
        with patch.object(Checkpoints, "_from_redis", AsyncMock(return_value="in Redis")):
            (pod,) = stage.kube.objects(PODS)
            await stage.kube.delete(PODS, "voice", "call-1", uid=pod["metadata"]["uid"])
            await asyncio.sleep(1)
            assert await taken_over(stage, 2) == "in Redis"


@in_hours
async def test_an_operator_that_has_forgotten_it_asks_redis() -> None:
    async with Stage() as stage:
        await live_call(stage, checkpoint=REDIS)
        stage.sidecar().checkpoint = "so far"
        await loses_its_agent(stage, 1)
        await stage.restart_operator()
        with patch.object(Checkpoints, "_from_redis", AsyncMock(return_value="in Redis")):
            assert await taken_over(stage, 2) == "in Redis"
