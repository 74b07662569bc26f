"""What the operator counts, while real calls go through it."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.hours import in_hours
from tests.support.operator_stage import Stage, clock
from tests.unit.reconcile import pods
from tests.unit.reconcile.test_claims import be_ready, call_in, taken_by_another, warm_desk
from tests.unit.reconcile.test_sessions_reconciled import live_call, waiting_call
from voicepod.api.session import Phase
from voicepod.assignment.messages import EndReason
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS
from voicepod.livekit.errors import Unreachable
from voicepod.livekit.rooms import Room
from voicepod.reconcile.gauges import Gauges

pytestmark = pytest.mark.unit

DESK = {"agent_namespace": "voice", "agent": "desk"}


def value(stage: Stage, name: str, agent: dict[str, str] = DESK, **labels: str) -> float | None:
    """A series' value; None when it is not there."""
    return stage.metrics.registry.get_sample_value(f"voicepod_{name}", agent | labels)


async def hang_up(stage: Stage, pod: str = "call-1") -> None:
    """The caller leaves, and the agent says goodbye for two seconds."""
    stage.callers()
    stage.touch("EV_left")
    await asyncio.sleep(11)
    await asyncio.sleep(2)
    stage.sidecar(pod).end(clock(), EndReason.TERMINATED, "told to")
    stage.hint(pod)
    await asyncio.sleep(1)
    assert stage.status().phase is Phase.ENDED


@in_hours
async def test_each_step_of_a_warm_call_is_timed_once() -> None:
    async with Stage() as stage:
        (pod,) = await warm_desk(stage, 1)
        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(0.5)
        assert stage.status().pod == pod
        await hang_up(stage, pod)

        for step in ("claimed", "assigned", "joined", "first_audio"):
            assert value(stage, "session_step_seconds_count", way="warm", step=step) == 1
        for until in ("joined", "first_audio"):
            assert value(stage, "session_start_seconds_count", way="warm", until=until) == 1
        assert value(stage, "session_start_seconds_count", way="cold", until="joined") is None


@in_hours
async def test_a_cold_start_is_timed_from_the_session_until_its_agent_is_there() -> None:
    async with Stage() as stage:
        await waiting_call(stage)
        await asyncio.sleep(3)
        stage.sidecar().register(clock())
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(0.5)

        waited = value(stage, "session_step_seconds_sum", way="cold", step="assigned")
        assert waited == pytest.approx(3.5, abs=0.1)
        whole = value(stage, "session_start_seconds_sum", way="cold", until="joined")
        assert whole == pytest.approx(3.5, abs=0.1)


@in_hours
async def test_the_end_of_a_call_is_counted_by_its_reason_with_what_it_cost() -> None:
    async with Stage() as stage:
        await live_call(stage)
        await hang_up(stage)

        assert value(stage, "sessions_received_total") == 1
        assert value(stage, "sessions_ended_total", phase="Ended", reason="CallerLeft") == 1
        ledger = stage.status().pod_seconds
        assert ledger is not None
        for use in ("warm", "talking", "waiting"):
            assert value(stage, "pod_seconds_total", use=use) == getattr(ledger, use)
        goodbye = value(stage, "session_goodbye_seconds_sum")
        assert goodbye == pytest.approx(3, abs=0.1)


@in_hours
async def test_an_operator_that_is_restarted_counts_nothing_of_before() -> None:
    async with Stage() as stage:
        await live_call(stage)
        await stage.restart_operator()
        await hang_up(stage)

        assert value(stage, "sessions_received_total") is None
        assert value(stage, "session_start_seconds_count", way="cold", until="joined") is None
        assert value(stage, "sessions_ended_total", phase="Ended", reason="CallerLeft") == 1


@in_hours
async def test_what_keeps_a_session_from_going_on_is_counted_once_while_it_lasts() -> None:
    async with Stage() as stage:
        stage.livekit.faults["ws://livekit"] = Unreachable("no route")
        stage.apply_agent()
        stage.make_session(roomSid="")
        await asyncio.sleep(20)

        assert value(stage, "session_problems_total", reason="LiveKitUnreachable") == 1
        retries = stage.metrics.registry.get_sample_value(
            "voicepod_reconcile_retries_total", {"kind": "session"}
        )
        assert retries is not None
        assert retries > 1


@in_hours
async def test_each_agent_that_a_call_loses_is_counted_once() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.kubelet(pods.CRASHED["status"])
        await asyncio.sleep(1)
        stage.sidecar("call-2").register(clock())
        stage.kubelet(pods.IS_READY["status"], "call-2")
        await asyncio.sleep(2)
        await hang_up(stage, "call-2")

        assert value(stage, "agents_lost_total", reason="AgentCrashed") == 1


@in_hours
async def test_a_take_over_is_timed_from_the_loss_until_the_next_agents_audio() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().end(clock(), EndReason.AGENT_HUNG, "it hangs")
        stage.hint("call-1")
        await asyncio.sleep(4)
        assert value(stage, "takeover_seconds_count", reason="AgentLost") is None

        stage.sidecar("call-2").register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"], "call-2")
        await asyncio.sleep(3)
        await hang_up(stage, "call-2")

        assert value(stage, "takeover_seconds_count", reason="AgentLost") == 1
        seconds = value(stage, "takeover_seconds_sum", reason="AgentLost")
        (loss,) = stage.status().lost
        assert loss.taken_over
        assert seconds == (loss.taken_over - loss.at).total_seconds()
        assert 4 <= seconds < 7


@in_hours
async def test_a_lost_claim_is_counted() -> None:
    async with Stage() as stage:
        first, _ = await warm_desk(stage, 2)

        stage.kube.fault = taken_by_another(stage, first)
        call_in(stage)
        await asyncio.sleep(0.5)

        assert value(stage, "pool_claims_lost_total") == 1


@in_hours
async def test_a_pod_that_no_session_ever_claims_is_counted_when_it_is_gone() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        stage.kube.put(PODS, "voice", stage._find(PODS, name) | {"spec": {"nodeName": "node-1"}})
        await asyncio.sleep(100)
        stage.apply_agent(pool={"min": 0, "max": 0})
        await asyncio.sleep(1)

        assert stage.pod_names() == []
        unclaimed = value(stage, "pod_seconds_total", use="unclaimed")
        assert unclaimed == pytest.approx(101, abs=2)


@in_hours
async def test_the_time_that_a_pod_takes_to_be_warm_is_measured() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 1, "max": 1})
        await asyncio.sleep(4)
        # By the kubelet's clock it is ready a second after noon, when it was made.
        be_ready(stage, *stage.pod_names())
        # What comes afterwards makes it no warmer.
        be_ready(stage, *stage.pod_names())

        assert value(stage, "pool_refill_seconds_count") == 1
        assert value(stage, "pool_refill_seconds_sum") == 1


@in_hours
async def test_a_pod_that_does_not_come_up_is_counted_by_its_reason() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 1, "max": 1})
        await asyncio.sleep(0.5)
        (name,) = stage.pod_names()
        for status in (pods.CREATING, pods.PULLING, pods.PULLING):
            stage.kubelet(status["status"], name)

        assert value(stage, "pool_problems_total", reason="ImagePullFailed") == 1
        assert value(stage, "pool_problems_total", reason="PodStarting") is None
        # One that is restarted has counted it before.
        await stage.restart_operator()
        stage.kubelet(pods.PULLING["status"], name)
        assert value(stage, "pool_problems_total", reason="ImagePullFailed") is None


@in_hours
async def test_a_pod_that_is_told_to_go_is_no_problem() -> None:
    async with Stage() as stage:
        (name,) = await warm_desk(stage, 1)
        item = stage._find(PODS, name)
        item["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:09Z"
        stage.kube.put(PODS, "voice", item | {"status": pods.CRASHED["status"]})

        assert value(stage, "pool_problems_total", reason="AgentCrashed") is None


@in_hours
async def test_a_voice_agent_that_is_gone_leaves_no_series_and_its_calls_no_name() -> None:
    async with Stage() as stage:
        await live_call(stage)
        assert value(stage, "sessions_received_total") == 1

        stage.kube.remove(VOICE_AGENTS, "voice", "desk")
        await hang_up(stage)

        assert not [sample for sample in samples(stage) if sample.items() & DESK.items()]
        nobody = {"agent_namespace": "", "agent": ""}
        assert value(stage, "sessions_ended_total", nobody, phase="Ended", reason="CallerLeft") == 1


@in_hours
async def test_no_label_holds_what_a_caller_can_choose() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)
        for number in range(2):
            name, room = f"chosen-{number}", f"chosen room {number}"
            stage.livekit.rooms[room] = Room(room, f"chosen-sid-{number}", frozenset({"chosen-id"}))
            stage.make_session(
                name, room=room, roomSid=f"chosen-sid-{number}", metadata="chosen-metadata"
            )
        stage.make_session("chosen-2", room="chosen room 2", agentRef={"name": "chosen-agent"})
        await asyncio.sleep(200)
        phases = [stage.status(f"chosen-{number}").phase for number in range(3)]
        assert phases == [Phase.ACTIVE, Phase.FAILED, Phase.PENDING]

        values = {value for sample in samples(stage) for value in sample.values()}
        assert not [value for value in values if "chosen" in value]
        assert not values & set(stage.pod_names())


def samples(stage: Stage) -> Iterator[dict[str, str]]:
    """The labels of all series, the gauges among them."""
    stage.metrics.registry.register(Gauges(stage.world, stage.queue, stage.events))
    for family in stage.metrics.registry.collect():
        for sample in family.samples:
            yield sample.labels


@in_hours
async def test_the_wait_for_a_place_is_timed_by_itself() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1, capacity={"maxSessions": 1, "queueDeadline": "30s"})
        call_in(stage, "one")
        await asyncio.sleep(1)
        for name in ("two", "three"):
            call_in(stage, name)
        for pod in stage.pod_names():
            be_ready(stage, pod)
        await asyncio.sleep(20)
        stage.kube.remove(VOICE_SESSIONS, "voice", "one")
        await asyncio.sleep(20)

        for outcome, seconds in (("served", 20), ("gave_up", 30)):
            assert value(stage, "session_queued_seconds_count", outcome=outcome) == 1
            waited = value(stage, "session_queued_seconds_sum", outcome=outcome)
            assert waited == pytest.approx(seconds, abs=0.1)
        claimed = value(stage, "session_step_seconds_sum", way="warm", step="claimed")
        assert claimed == pytest.approx(0, abs=0.1)
        assert value(stage, "sessions_ended_total", phase="Failed", reason="QueueDeadline") == 1
