"""Pools that fill, heal and follow their template, by the real loop, queue and reconciler."""

import asyncio
from typing import Any

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.support.slow import Slow
from tests.unit.reconcile import pods
from voicepod.api.agent import VoiceAgentStatus
from voicepod.api.names import ANNOTATION_TEMPLATE_HASH
from voicepod.kube.client import PODS, VOICE_AGENTS
from voicepod.kube.errors import Refused, Unavailable

pytestmark = pytest.mark.unit


def template(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "agent", "image": image}]}}


def makes_a_pod(call: Call) -> bool:
    """Whether a warm pod is asked for; the checks of VoiceAgents have a name."""
    return call[:3] == ("create", PODS.plural, "voice") and call.name.startswith("desk-0")


def made(stage: Stage) -> int:
    """How many warm pods were asked for."""
    return sum(map(makes_a_pod, stage.kube.calls))


def images(stage: Stage) -> list[str]:
    return [item["spec"]["containers"][0]["image"] for item in stage.kube.objects(PODS)]


async def all_become(stage: Stage, status: dict[str, Any]) -> None:
    for item in stage.kube.objects(PODS):
        if item.get("status", {}).get("phase") != status["phase"]:
            stage.kubelet(status, item["metadata"]["name"])
    await asyncio.sleep(0)


def warnings(stage: Stage) -> list[str]:
    return [note.message for _, note in stage.events.notes if note.reason == "WarmPodFailed"]


@in_hours
async def test_a_pool_is_filled_and_counted() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 3, "max": 4})
        await asyncio.sleep(4)
        assert len(stage.pod_names()) == 3
        (agent,) = stage.kube.objects(VOICE_AGENTS)
        status = VoiceAgentStatus.model_validate(agent["status"])
        assert (status.warm, status.warming) == (0, 3)

        await all_become(stage, pods.IS_READY["status"])
        await asyncio.sleep(4)

        (agent,) = stage.kube.objects(VOICE_AGENTS)
        status = VoiceAgentStatus.model_validate(agent["status"])
        assert (status.warm, status.warming) == (3, 0)
        assert len(stage.pod_names()) == 3


@in_hours
async def test_five_pods_are_asked_for_at_once_and_no_more() -> None:
    async with Stage() as stage:
        slow = stage.kube.fault = Slow(0.1, makes_a_pod)
        stage.apply_agent(pool={"min": 12, "max": 12})
        await asyncio.sleep(5)

        assert (slow.most, len(stage.pod_names())) == (5, 12)


async def made_at_once(taken: int) -> int:
    """Take as many pods out of a pool of ten; return how many were made at once, at most."""
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 10, "max": 10})
        await asyncio.sleep(2)
        await all_become(stage, pods.IS_READY["status"])
        slow = stage.kube.fault = Slow(0.1, makes_a_pod)
        for name in stage.pod_names()[:taken]:
            stage.kube.remove(PODS, "voice", name)
        await asyncio.sleep(5)
        assert len(stage.pod_names()) == 10
        return slow.most


@in_hours
async def test_the_fuller_a_pool_is_still_the_fewer_pods_are_made_at_once() -> None:
    assert [await made_at_once(taken) for taken in (1, 2, 4, 5, 10)] == [1, 2, 4, 5, 5]


@in_hours
async def test_a_lowered_min_takes_the_newest_pods_away() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 3, "max": 3})
        await asyncio.sleep(2)
        await all_become(stage, pods.IS_READY["status"])
        first = stage.pod_names()[0]

        stage.apply_agent(pool={"min": 1, "max": 3})
        await asyncio.sleep(1)

        assert stage.pod_names() == [first]


@in_hours
async def test_a_pod_that_goes_is_replaced_at_once() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 2, "max": 2})
        await asyncio.sleep(1)

        stage.kube.remove(PODS, "voice", stage.pod_names()[0])
        await asyncio.sleep(0.1)

        assert len(stage.pod_names()) == 2


@in_hours
async def test_a_template_whose_pods_crash_never_runs_away_and_is_told_once() -> None:
    async with Stage() as stage:

        def crash(type_: str, item: dict[str, Any]) -> None:
            name = item["metadata"]["name"]
            if type_ == "ADDED":
                asyncio.get_running_loop().call_later(
                    1, stage.kubelet, pods.CRASHED["status"], name
                )

        stage.kube.watch(PODS, crash)
        stage.apply_agent(pool={"min": 5, "max": 5})
        await asyncio.sleep(3600)

        assert len(stage.pod_names()) <= 1
        assert 50 < made(stage) < 80
        (words,) = warnings(stage)
        assert "ModuleNotFoundError" in words


@in_hours
async def test_a_mended_template_fills_its_pool_at_once() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 5, "max": 5})
        await asyncio.sleep(1)
        await all_become(stage, pods.CRASHED["status"])
        await asyncio.sleep(0.1)

        stage.apply_agent(pool={"min": 5, "max": 5}, template=template("mended"))
        await asyncio.sleep(0.1)

        assert images(stage) == ["mended"] * 5


@in_hours
async def test_pods_that_fail_together_are_one_failure_and_all_come_back() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 4, "max": 4})
        await asyncio.sleep(1)
        await all_become(stage, pods.IS_READY["status"])
        for name in stage.pod_names()[:3]:
            stage.kubelet(pods.EVICTED["status"], name)

        await asyncio.sleep(1)

        assert len(stage.pod_names()) == 4


@in_hours
async def test_an_api_server_that_refuses_the_pods_is_asked_ever_more_seldom() -> None:
    async with Stage() as stage:

        async def refuse(call: Call) -> None:
            if call.verb == "create" and call.name.startswith("desk-0"):
                raise Refused("exceeded quota: pods=10")

        stage.kube.fault = refuse
        stage.apply_agent(pool={"min": 5, "max": 5})
        await asyncio.sleep(3600)
        assert made(stage) < 80
        (words,) = warnings(stage)
        assert "exceeded quota" in words

        stage.kube.fault = None
        await asyncio.sleep(61)
        await all_become(stage, pods.IS_READY["status"])
        await asyncio.sleep(1)

        assert len(stage.pod_names()) == 5


@in_hours
async def test_pods_whose_making_was_not_answered_are_looked_up_before_others_are_made() -> None:
    async with Stage() as stage:
        lost = False
        create = stage.kube.create

        async def answer_lost(*args: Any, **more: Any) -> Any:
            nonlocal lost
            pod = await create(*args, **more)
            if not lost and pod["metadata"]["name"].startswith("desk-0"):
                lost = True
                stage.world.drop_pod(("voice", pod["metadata"]["name"]), pod["metadata"]["uid"])
                raise Unavailable("the answer got lost")
            return pod

        stage.kube.create = answer_lost  # type: ignore[method-assign]
        stage.apply_agent(pool={"min": 2, "max": 2})
        await asyncio.sleep(10)

        assert lost
        assert (made(stage), len(stage.pod_names())) == (2, 2)


@in_hours
async def test_a_new_template_replaces_the_pool_without_ever_emptying_it() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 4, "max": 5})
        await asyncio.sleep(1)
        await all_become(stage, pods.IS_READY["status"])

        stage.apply_agent(pool={"min": 4, "max": 5}, template=template("new"))
        for _ in range(20):
            await asyncio.sleep(1)
            ready = [item for item in stage.kube.objects(PODS) if item.get("status")]
            assert len(ready) >= 4
            assert len(stage.pod_names()) <= 5
            await all_become(stage, pods.IS_READY["status"])

        assert images(stage) == ["new"] * 4
        hashes = {
            item["metadata"]["annotations"][ANNOTATION_TEMPLATE_HASH]
            for item in stage.kube.objects(PODS)
        }
        assert len(hashes) == 1


@in_hours
async def test_the_pods_of_a_deleted_agent_are_left_to_the_garbage_collector() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 2, "max": 2})
        await asyncio.sleep(1)
        before = len(stage.kube.writes())

        stage.kube.remove(VOICE_AGENTS, "voice", "desk")
        stage.kube.remove(PODS, "voice", stage.pod_names()[0])
        await asyncio.sleep(10)

        assert len(stage.kube.writes()) == before


@in_hours
async def test_a_restarted_operator_makes_no_second_pool() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 3, "max": 9})
        await asyncio.sleep(1)
        before = stage.pod_names()

        await stage.restart_operator()
        await asyncio.sleep(10)

        assert stage.pod_names() == before


@in_hours
async def test_a_pod_that_never_becomes_ready_gives_its_place_to_another() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 2})
        await asyncio.sleep(2)
        hung, well = stage.pod_names()
        stage.kubelet(pods.IS_READY["status"], well)
        placed = {**stage.kube.find(PODS, "voice", hung)["spec"], "nodeName": "node-1"}
        item = {**stage.kube.find(PODS, "voice", hung), "spec": placed}
        stage.kube.put(PODS, "voice", {**item, "status": pods.RUNS["status"]})
        await asyncio.sleep(290)
        assert stage.pod_names() == [hung, well]
        assert warnings(stage) == []

        await asyncio.sleep(20)

        assert hung not in stage.pod_names()
        assert len(stage.pod_names()) == 2
        (warning,) = warnings(stage)
        assert "no agent has registered yet" in warning


@in_hours
async def test_a_pod_that_finds_no_node_is_not_to_blame() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 1})
        await asyncio.sleep(2)
        (waiting,) = stage.pod_names()
        stage.kubelet(pods.UNSCHEDULABLE["status"], waiting)

        await asyncio.sleep(3600)

        assert stage.pod_names() == [waiting]
