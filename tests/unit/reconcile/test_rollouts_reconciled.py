"""Canaries by the real loop, queue and reconcilers: who tries, who does not, and who decides."""

import asyncio
from typing import Any

import pytest

from tests.support.hours import in_hours
from tests.support.operator_stage import Stage, clock
from tests.unit.reconcile import pods
from voicepod.api.agent import VoiceAgentStatus
from voicepod.api.rollout import RolloutState
from voicepod.assignment.messages import EndReason
from voicepod.kube.client import PODS, VOICE_AGENTS, Object
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

SIZE = 4
CALLS = 30


def template(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "agent", "image": image}]}}


def canary_desk(stage: Stage, image: str, canary: int = 50) -> None:
    stage.apply_agent(
        template=template(image),
        pool={"min": SIZE, "max": 2 * SIZE},
        rollout={"canary": canary, "canaryFor": "10m"},
        lifecycle={"reconnectGrace": "1s", "shutdownGrace": "1s"},
    )


def image_of(pod: Object) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image


def kubelet_readies_all(stage: Stage) -> None:
    """Have each pod get ready a second after it was made."""

    def readied(name: str) -> None:
        if name in stage.pod_names():
            stage.sidecar(name).register(clock())
            stage.kubelet(pods.IS_READY["status"], name)

    def made(type_: str, pod: Object) -> None:
        if type_ == "ADDED":
            asyncio.get_running_loop().call_later(1, readied, pod["metadata"]["name"])

    stage.kube.watch(PODS, made)


async def call_comes_and_goes(stage: Stage, number: int, failing: str = "") -> str:
    """A call, whose agent crashes if its image is ``failing``; returns the image it got."""
    name = f"call-{number}"
    room, sid = f"room of {name}", f"RM_{name}"
    stage.livekit.rooms[room] = Room(room, sid, frozenset({"caller"}))
    stage.make_session(name, room=room, roomSid=sid)
    await asyncio.sleep(4)
    pod = stage._find(PODS, stage.status(name).pod)
    taken_over = pod
    if image_of(pod) == failing:
        stage.kubelet(pods.CRASHED["status"], pod["metadata"]["name"])
        await asyncio.sleep(3)
        taken_over = stage._find(PODS, stage.status(name).pod)
        assert image_of(taken_over) != failing
    stage.livekit.rooms[room] = Room(room)
    stage.sidecar(taken_over["metadata"]["name"]).end(clock(), EndReason.JOB_FINISHED, "said")
    assert stage.hint(taken_over["metadata"]["name"])
    await asyncio.sleep(6)
    assert stage.status(name).phase.finished
    return image_of(pod)


def rollout(stage: Stage) -> RolloutState:
    (agent,) = stage.kube.objects(VOICE_AGENTS)
    status = VoiceAgentStatus.model_validate(agent["status"])
    assert status.rollout
    return status.rollout.state


def images(stage: Stage) -> set[str]:
    return {image_of(pod) for pod in stage.kube.objects(PODS)}


async def changed_desk(stage: Stage) -> None:
    """A pool of the template ``old``, whose template has just become ``new``."""
    kubelet_readies_all(stage)
    canary_desk(stage, "old")
    await asyncio.sleep(10)
    assert images(stage) == {"old"}
    canary_desk(stage, "new")
    await asyncio.sleep(10)
    assert images(stage) == {"old", "new"}


@in_hours
async def test_a_good_template_is_tried_by_a_share_and_then_for_all() -> None:
    async with Stage() as stage:
        await changed_desk(stage)

        got = [await call_comes_and_goes(stage, number) for number in range(CALLS)]
        assert {"old", "new"} == set(got)
        await asyncio.sleep(600)

        assert rollout(stage) is RolloutState.STABLE
        assert images(stage) == {"new"}
        told = [note.reason for kind, note in stage.events.notes if kind == "VoiceAgent"]
        assert told[-2:] == ["CanaryStarted", "CanaryProved"]


@in_hours
async def test_a_template_whose_agents_crash_is_taken_back_and_few_calls_get_it() -> None:
    async with Stage() as stage:
        await changed_desk(stage)

        got = [await call_comes_and_goes(stage, number, failing="new") for number in range(CALLS)]

        assert rollout(stage) is RolloutState.TAKEN_BACK
        assert images(stage) == {"old"}
        assert 1 <= got.count("new") <= 5
        (warning,) = [n for kind, n in stage.events.notes if n.reason == "CanaryTakenBack"]
        assert warning.warning


@in_hours
async def test_a_restarted_operator_goes_on_with_a_rollout() -> None:
    async with Stage() as stage:
        await changed_desk(stage)
        for number in range(8):
            await call_comes_and_goes(stage, number)
        await stage.restart_operator()
        await asyncio.sleep(5)
        assert rollout(stage) is RolloutState.CANARY
        assert images(stage) == {"old", "new"}

        for number in range(8, 20):
            await call_comes_and_goes(stage, number)
        await asyncio.sleep(600)

        assert rollout(stage) is RolloutState.STABLE
        assert images(stage) == {"new"}


@in_hours
async def test_a_canary_whose_pods_never_start_costs_no_call_anything() -> None:
    async with Stage() as stage:
        kubelet_readies_all(stage)
        canary_desk(stage, "old")
        await asyncio.sleep(10)

        def crash(type_: str, pod: Object) -> None:
            if type_ == "ADDED" and image_of(pod) == "new":
                stage.kubelet(pods.CRASHED["status"], pod["metadata"]["name"])

        stage.kube.watch(PODS, crash)
        canary_desk(stage, "new")
        await asyncio.sleep(10)
        got = [await call_comes_and_goes(stage, number) for number in range(10)]

        assert set(got) == {"old"}
        assert rollout(stage) is RolloutState.CANARY
