"""Sessions and warm pods: who gets which, and that nobody gets two."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage, clock
from tests.unit.reconcile import pods
from voicepod.api.names import LABEL_SESSION
from voicepod.api.session import Phase
from voicepod.assignment.errors import PodUnreachable
from voicepod.assignment.messages import Act, EndReason
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS
from voicepod.kube.errors import Conflict, Unavailable
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit


async def warm_desk(stage: Stage, size: int, **spec: Any) -> list[str]:
    """A pool whose pods are ready; returns their names."""
    stage.apply_agent(pool={"min": size, "max": size}, **spec)
    await asyncio.sleep(0.5)
    names = stage.pod_names()
    for name in names:
        be_ready(stage, name)
    await asyncio.sleep(0.5)
    return names


def be_ready(stage: Stage, name: str, node: str = "node-1") -> None:
    stage.sidecar(name).register(clock())
    item = stage._find(PODS, name)
    item["spec"]["nodeName"] = node
    stage.kube.put(PODS, "voice", item)
    stage.kubelet(pods.IS_READY["status"], name)


async def slow_claims(call: Call) -> None:
    """Have claims take their time, so that they are under way together."""
    if (call.verb, call.plural) == ("patch", PODS.plural):
        await asyncio.sleep(0.1)


def taken_by_another(stage: Stage, pod: str) -> Callable[[Call], Awaitable[None]]:
    """Have another session take a pod just before it is claimed."""

    async def fault(call: Call) -> None:
        if (call.verb, call.plural, call.name) == ("patch", PODS.plural, pod):
            stage.kube.fault = None
            item = stage._find(PODS, pod)
            item["metadata"]["labels"][LABEL_SESSION] = "another"
            stage.kube.put(PODS, "voice", item)

    return fault


def owners(stage: Stage) -> dict[str, str]:
    """The pods that sessions have, by session."""
    found = {
        item["metadata"]["labels"][LABEL_SESSION]: item["metadata"]["name"]
        for item in stage.kube.objects(PODS)
        if LABEL_SESSION in item["metadata"]["labels"]
    }
    assert len(found) == sum(
        LABEL_SESSION in item["metadata"]["labels"] for item in stage.kube.objects(PODS)
    )
    return found


def call_in(stage: Stage, name: str = "call", **spec: Any) -> None:
    """A session of its own room, with a caller in it."""
    room, sid = f"room of {name}", f"RM_{name}"
    stage.livekit.rooms[room] = Room(room, sid, frozenset({"caller"}))
    stage.make_session(name, room=room, roomSid=sid, **spec)


@in_hours
async def test_a_whole_call_on_a_warm_pod_takes_few_writes() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        before = len(stage.session_writes())
        await asyncio.sleep(30)

        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(0.5)
        assert stage.status().phase is Phase.ACTIVE
        assert stage.status().pod == name
        received, claimed = stage.status().times.received, stage.status().times.claimed
        assert received is not None
        assert claimed is not None
        assert (claimed - received).total_seconds() < 1
        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(11)
        stage.sidecar(name).end(clock(), EndReason.TERMINATED, "told to")
        stage.hint(name)
        await asyncio.sleep(1)

        assert stage.status().phase is Phase.ENDED
        ledger = stage.status().pod_seconds
        assert ledger is not None
        assert ledger.warm == pytest.approx(30, abs=2)
        assert ledger.talking + ledger.waiting == pytest.approx(12, abs=2)
        await asyncio.sleep(3700)
        assert stage.kube.objects(VOICE_SESSIONS) == []
        assert len(stage.pod_names()) == 1
        # The claim, the pod that takes the place of the claimed one, the pod's and the session's
        # going, and one status for each thing that a reader could see happen.
        writes = stage.session_writes()[before:]
        assert len([call for call in writes if call.plural == PODS.plural]) == 3
        assert len(writes) <= 8


@in_hours
async def test_a_claimed_pod_is_the_sessions_and_safe() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        call_in(stage)
        await asyncio.sleep(0.5)

        metadata = stage._find(PODS, name)["metadata"]
        (owner,) = metadata["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("VoiceSession", "call")
        assert metadata["annotations"]["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
        assert metadata["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
        assert metadata["annotations"]["voicepod.dev/generation"] == "1"


@in_hours
async def test_a_burst_takes_each_warm_pod_once_and_starts_the_rest_cold() -> None:
    async with Stage() as stage:
        warm = await warm_desk(stage, 5)
        stage.kube.fault = slow_claims
        for number in range(12):
            call_in(stage, f"call-{number:02}")
        await asyncio.sleep(0.5)

        found = owners(stage)
        assert len(found) == 12
        assert {found[f"call-{number:02}"] for number in range(5)} == set(warm)
        claims = [c for c in stage.kube.calls if (c.verb, c.plural) == ("patch", PODS.plural)]
        assert len(claims) == 5


@in_hours
async def test_a_pool_that_shrinks_leaves_a_pod_that_is_being_claimed_alone() -> None:
    async with Stage() as stage:
        first, second = await warm_desk(stage, 2)
        stage.kube.fault = slow_claims
        call_in(stage)
        await asyncio.sleep(0.05)

        stage.apply_agent(pool={"min": 0, "max": 0})
        await asyncio.sleep(0.5)

        assert owners(stage) == {"call": first}
        assert stage.pod_names() == [first]
        assert ("delete", PODS.plural, "voice", second) in stage.kube.calls


@in_hours
async def test_calls_are_packed_on_the_busiest_node_and_the_oldest_pod_goes_first() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 4, "max": 4})
        await asyncio.sleep(0.5)
        first, second, third, fourth = stage.pod_names()
        for name, node in ((first, "a"), (second, "b"), (third, "a"), (fourth, "b")):
            be_ready(stage, name, node)
        call_in(stage, "one")
        await asyncio.sleep(0.5)
        call_in(stage, "two")
        await asyncio.sleep(0.5)

        found = owners(stage)
        assert (found["one"], found["two"]) == (first, third)


@in_hours
async def test_a_pod_that_another_took_meanwhile_is_left_and_the_next_one_tried() -> None:
    async with Stage() as stage:
        first, second = await warm_desk(stage, 2)

        stage.kube.fault = taken_by_another(stage, first)
        call_in(stage)
        await asyncio.sleep(0.5)

        assert stage.kube.fault is None
        assert owners(stage)["call"] == second


@in_hours
async def test_a_call_that_is_refused_its_next_pod_does_not_take_the_lost_one_for_it() -> None:
    async with Stage() as stage:
        stage.kube.graceful = frozenset({PODS})
        first, second, third = await warm_desk(stage, 3)
        call_in(stage)
        await asyncio.sleep(0.5)
        assert stage.status().pod == first

        async def refused(call: Call) -> None:
            if (call.verb, call.plural, call.name) == ("patch", PODS.plural, second):
                stage.kube.fault = None
                raise Conflict("the watch has not told of it yet")

        stage.kube.fault = refused
        stage.kubelet(pods.CRASHED["status"], first)
        await asyncio.sleep(1)
        assert stage.status().pod == third


@in_hours
async def test_a_pod_that_vanished_meanwhile_is_forgotten_and_a_cold_one_started() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)

        async def evicted(call: Call) -> None:
            if (call.verb, call.plural) == ("patch", PODS.plural):
                stage.kube.fault = None
                stage.kube.remove(PODS, "voice", name)

        stage.kube.fault = evicted
        call_in(stage)
        await asyncio.sleep(0.5)

        assert owners(stage) == {"call": "call-1"}


@in_hours
async def test_a_claim_whose_answer_got_lost_is_looked_up_and_not_made_again() -> None:
    async with Stage() as stage:
        first, _ = await warm_desk(stage, 2)
        patch = stage.kube.patch

        async def answer_lost(resource: Any, *args: Any, **more: Any) -> Any:
            if resource is not PODS:
                return await patch(resource, *args, **more)
            stage.kube.patch = patch  # type: ignore[method-assign]
            # Nor does the watch tell of it.
            stage.kube._watchers.pop(PODS)
            await patch(resource, *args, **more)
            raise Unavailable("the answer got lost")

        stage.kube.patch = answer_lost  # type: ignore[method-assign]
        call_in(stage)
        await asyncio.sleep(5)

        assert owners(stage) == {"call": first}


def lose_the_answer(stage: Stage, then: Callable[[], None] = lambda: None) -> None:
    """Have the pod ``call-1`` be made, and neither the answer nor the watch tell of it."""
    create = stage.kube.create

    async def answer_lost(resource: Any, namespace: str, body: Any, dry_run: bool = False) -> Any:
        if body["metadata"].get("name") != "call-1":
            return await create(resource, namespace, body, dry_run)
        stage.kube.create = create  # type: ignore[method-assign]
        watchers = stage.kube._watchers.pop(PODS)
        await create(resource, namespace, body)
        stage.kube._watchers[PODS] = watchers
        then()
        raise Unavailable("the answer got lost")

    stage.kube.create = answer_lost  # type: ignore[method-assign]


@in_hours
async def test_a_pod_whose_making_was_not_answered_is_looked_up_before_another_is_claimed() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 1})
        await asyncio.sleep(0.5)
        (warm,) = stage.pod_names()
        lose_the_answer(stage, lambda: be_ready(stage, warm))
        call_in(stage)
        await asyncio.sleep(5)

        assert owners(stage) == {"call": "call-1"}


@in_hours
async def test_a_pod_whose_making_was_not_answered_does_not_outlive_its_session() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        lose_the_answer(stage, lambda: stage.edit_session(end=True))
        call_in(stage)
        await asyncio.sleep(5)

        assert stage.status().phase is Phase.ENDED
        assert stage.pod_names() == []


@in_hours
async def test_pods_that_are_not_ready_are_not_claimed() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 1, "max": 1})
        await asyncio.sleep(0.5)
        call_in(stage)
        await asyncio.sleep(0.5)

        assert owners(stage) == {"call": "call-1"}


@in_hours
async def test_while_a_template_is_rolled_out_an_old_pod_is_better_than_none() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        template = {"spec": {"containers": [{"name": "agent", "image": "new"}]}}
        stage.apply_agent(pool={"min": 1, "max": 2}, template=template)
        await asyncio.sleep(0.5)
        call_in(stage)
        await asyncio.sleep(0.5)

        assert owners(stage) == {"call": name}


@in_hours
async def test_a_session_with_a_longer_goodbye_than_its_pod_would_wait_starts_cold() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        call_in(stage, "long", lifecycle={"shutdownGrace": "60s"})
        await asyncio.sleep(0.5)
        call_in(stage, "short", lifecycle={"shutdownGrace": "1s"})
        await asyncio.sleep(0.5)

        assert owners(stage) == {"long": "long-1", "short": name}


@in_hours
async def test_an_operator_restarted_between_claim_and_assignment_goes_on_with_its_pod() -> None:
    async with Stage() as stage:
        first, _ = await warm_desk(stage, 2)
        away = PodUnreachable("it does not answer")
        stage.pods.fault = lambda act: away if act is Act.ASSIGN else None
        call_in(stage)
        await asyncio.sleep(0.5)
        assert owners(stage) == {"call": first}
        assert stage.sidecar(first).assignment is None

        stage.pods.fault = lambda act: None
        await stage.restart_operator()
        await asyncio.sleep(5)

        assert owners(stage) == {"call": first}
        assert stage.sidecar(first).assignment is not None
        assert stage.status().phase is Phase.ACTIVE


@in_hours
async def test_the_pool_is_filled_again_behind_a_claim() -> None:
    async with Stage() as stage:
        before = await warm_desk(stage, 2)
        call_in(stage)
        await asyncio.sleep(0.5)

        assert len(stage.pod_names()) == 3
        assert set(before) < set(stage.pod_names())


@in_hours
async def test_a_call_that_has_its_pod_goes_on_though_its_agent_is_deleted_meanwhile() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)

        async def agent_is_deleted(call: Call) -> None:
            if (call.verb, call.plural) == ("patch", PODS.plural) and stage.world.agents:
                stage.kube.remove(VOICE_AGENTS, "voice", "desk")

        stage.kube.fault = agent_is_deleted
        call_in(stage)
        await asyncio.sleep(2)

        assert stage.status().phase is Phase.ACTIVE
        assert retries(stage) == 0


@in_hours
async def test_an_agent_that_is_deleted_while_it_is_checked_is_nothing_to_worry_about() -> None:
    async with Stage() as stage:

        async def agent_is_deleted(call: Call) -> None:
            if call.name == "check-1" and stage.world.agents:
                stage.kube.remove(VOICE_AGENTS, "voice", "desk")

        stage.kube.fault = agent_is_deleted
        stage.apply_agent(pool={"min": 0, "max": 1})
        await asyncio.sleep(2)

        assert retries(stage) == 0


def retries(stage: Stage) -> float:
    """How often something could not be reconciled at once."""
    families = {family.name: family for family in stage.metrics.registry.collect()}
    return sum(
        sample.value
        for sample in families["voicepod_reconcile_retries"].samples
        if sample.name.endswith("_total")
    )
