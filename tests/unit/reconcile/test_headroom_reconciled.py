"""The placeholders of a VoiceAgent, by the real loop, queue and reconciler."""

import asyncio
from typing import Any

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.unit.reconcile.test_agents_reconciled import status_of
from voicepod.kube.client import DEPLOYMENTS, VOICE_AGENTS
from voicepod.kube.errors import Refused, Unavailable

pytestmark = pytest.mark.unit

LARGER = {
    "spec": {
        "containers": [
            {"name": "agent", "image": "desk", "resources": {"requests": {"cpu": "2"}}},
        ]
    }
}


def apply_agent(stage: Stage, headroom: int, **spec: Any) -> None:
    stage.apply_agent(capacity={"headroom": headroom}, **spec)


def placeholders(stage: Stage) -> dict[str, int]:
    """How many each Deployment has."""
    return {
        item["metadata"]["name"]: item["spec"]["replicas"]
        for item in stage.kube.objects(DEPLOYMENTS)
    }


def asked(stage: Stage) -> list[str]:
    """What was done about Deployments."""
    return [call.verb for call in stage.kube.calls if call.plural == DEPLOYMENTS.plural]


def controller(stage: Stage, **status: Any) -> None:
    """Have the Deployment's controller tell of it."""
    (item,) = stage.kube.objects(DEPLOYMENTS)
    stage.kube.put(DEPLOYMENTS, "voice", {**item, "status": status})


def held(stage: Stage) -> dict[str, Any] | None:
    """What the VoiceAgent says of it."""
    status = status_of(stage).headroom
    return status.to_yaml() if status else None


@in_hours
async def test_who_wants_no_headroom_costs_no_request() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        await asyncio.sleep(60)

        assert asked(stage) == []
        assert held(stage) is None


@in_hours
async def test_so_many_placeholders_as_are_wanted_are_there_and_told() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        assert placeholders(stage) == {"desk-headroom": 3}
        assert held(stage) == {"ready": 0}

        controller(stage, readyReplicas=2)
        await asyncio.sleep(11)
        assert held(stage) == {"ready": 2}

        apply_agent(stage, 5)
        await asyncio.sleep(1)
        assert placeholders(stage) == {"desk-headroom": 5}


@in_hours
async def test_what_is_as_it_should_be_is_not_written_again() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(5)
        writes = len(stage.kube.writes())

        await asyncio.sleep(240)

        assert len(stage.kube.writes()) == writes
        assert asked(stage).count("apply") == 1


@in_hours
async def test_a_larger_agent_has_larger_placeholders() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        apply_agent(stage, 3, template=LARGER)
        await asyncio.sleep(1)

        (deployment,) = stage.kube.objects(DEPLOYMENTS)
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["resources"] == {"requests": {"cpu": "2"}}


@in_hours
async def test_placeholders_that_somebody_deleted_are_made_again() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        stage.kube.remove(DEPLOYMENTS, "voice", "desk-headroom")
        await asyncio.sleep(11)

        assert placeholders(stage) == {"desk-headroom": 3}


@in_hours
async def test_placeholders_that_nobody_wants_any_more_go_and_nothing_is_asked_from_then_on() -> (
    None
):
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        apply_agent(stage, 0)
        await asyncio.sleep(1)
        assert placeholders(stage) == {}
        assert held(stage) is None

        before = asked(stage)
        await asyncio.sleep(60)
        assert asked(stage) == before


@in_hours
async def test_an_operator_that_died_before_they_went_leaves_them_to_the_next_one() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        await stage.stop_operator()
        apply_agent(stage, 0)

        await stage.restart_operator()
        await asyncio.sleep(1)

        assert placeholders(stage) == {}
        assert held(stage) is None


@in_hours
async def test_that_there_may_be_placeholders_is_written_before_any_are_made() -> None:
    async with Stage() as stage:

        async def hangs(call: Call) -> None:
            if call.verb == "apply":
                await asyncio.Event().wait()

        stage.kube.fault = hangs
        apply_agent(stage, 3)
        await asyncio.sleep(1)

        assert asked(stage)[-1] == "apply"
        assert held(stage) == {"ready": 0}


@in_hours
async def test_a_delete_whose_answer_got_lost_is_found_to_be_done() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)

        async def lost(call: Call) -> None:
            if (call.verb, call.plural) == ("delete", DEPLOYMENTS.plural):
                stage.kube.fault = None
                stage.kube.remove(DEPLOYMENTS, "voice", "desk-headroom")
                raise Unavailable("no answer")

        stage.kube.fault = lost
        apply_agent(stage, 0)
        await asyncio.sleep(5)

        assert held(stage) is None


@in_hours
async def test_what_keeps_pods_from_being_made_is_told_until_it_is_mended() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        words = "no PriorityClass with name voicepod-headroom was found"
        condition = {"type": "ReplicaFailure", "status": "True", "message": words}
        controller(stage, conditions=[condition])
        await asyncio.sleep(11)
        assert held(stage) == {"ready": 0, "message": words}

        controller(stage, readyReplicas=3, conditions=[{"type": "Available", "status": "True"}])
        await asyncio.sleep(11)
        assert held(stage) == {"ready": 3}


@in_hours
async def test_placeholders_that_the_api_server_refuses_are_told_until_it_takes_them() -> None:
    async with Stage() as stage:

        async def refuses(call: Call) -> None:
            if call.verb == "apply":
                raise Refused("spec.template.spec.tolerations[0].key: Invalid value")

        stage.kube.fault = refuses
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        found = held(stage)
        assert found
        assert "tolerations[0]" in found["message"]

        stage.kube.fault = None
        await asyncio.sleep(11)
        assert held(stage) == {"ready": 0}
        assert placeholders(stage) == {"desk-headroom": 3}


@in_hours
async def test_a_deployment_of_that_name_that_is_somebody_elses_is_left_alone() -> None:
    async with Stage() as stage:
        theirs = {"metadata": {"name": "desk-headroom"}, "spec": {"replicas": 1}}
        stage.kube.put(DEPLOYMENTS, "voice", theirs)
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        found = held(stage)
        assert found
        assert "desk-headroom" in found["message"]

        apply_agent(stage, 0)
        await asyncio.sleep(1)
        assert placeholders(stage) == {"desk-headroom": 1}
        assert held(stage) is None


@in_hours
async def test_an_agent_that_is_gone_is_not_asked_for() -> None:
    async with Stage() as stage:
        apply_agent(stage, 3)
        await asyncio.sleep(1)
        stage.kube.remove(VOICE_AGENTS, "voice", "desk")
        before = asked(stage)
        await asyncio.sleep(60)

        assert asked(stage) == before
