"""What a scrape tells of what there is."""

import asyncio

import pytest

from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.unit.reconcile.test_claims import be_ready, call_in, warm_desk
from voicepod.kube.client import DEPLOYMENTS
from voicepod.kube.events import Events, Note, Regarding
from voicepod.livekit.errors import Unreachable
from voicepod.reconcile.gauges import Gauges
from voicepod.reconcile.loop import Item

pytestmark = pytest.mark.unit

DESK = ("voice", "desk")


def told(stage: Stage, name: str) -> dict[tuple[str, ...], float]:
    """The values of a gauge, by its labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in Gauges(stage.world, stage.queue, stage.events).collect()
        for sample in family.samples
        if sample.name == f"voicepod_{name}"
    }


@in_hours
async def test_sessions_are_told_by_phase_and_there_is_a_zero_for_each_phase() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)
        call_in(stage, "one")
        await asyncio.sleep(0.5)
        call_in(stage, "two")
        await asyncio.sleep(0.5)

        phases = told(stage, "sessions")
        assert (phases[*DESK, "Active"], phases[*DESK, "Starting"]) == (1, 1)
        assert len(phases) == 8
        assert sum(phases.values()) == 2


@in_hours
async def test_sessions_of_an_agent_that_is_not_there_are_told_without_its_name() -> None:
    async with Stage() as stage:
        call_in(stage)
        await asyncio.sleep(0.5)

        assert told(stage, "sessions") == {("", "", "Pending"): 1}


@in_hours
async def test_a_pool_is_told_with_its_bounds() -> None:
    async with Stage() as stage:
        stage.apply_agent(pool={"min": 3, "max": 5})
        await asyncio.sleep(0.5)
        be_ready(stage, stage.pod_names()[0])
        await asyncio.sleep(0.5)

        assert told(stage, "pool_pods") == {(*DESK, "warm"): 1, (*DESK, "warming"): 2}
        assert told(stage, "pool_min_pods") == {DESK: 3}
        assert told(stage, "pool_max_pods") == {DESK: 5}


@in_hours
async def test_calls_that_keep_a_node_from_being_free_are_told_with_their_latest_end() -> None:
    async with Stage() as stage:
        await warm_desk(stage, 1)
        call_in(stage)
        await asyncio.sleep(2)
        assert told(stage, "draining_calls") == {DESK: 0}
        assert told(stage, "draining_end_timestamp_seconds") == {}

        stage.cordon("node-1")
        await asyncio.sleep(2)

        (agent,) = stage.world.agents.values()
        assert agent.status.drained_by
        end = agent.status.drained_by.timestamp()
        assert told(stage, "draining_calls") == {DESK: 1}
        assert told(stage, "draining_end_timestamp_seconds") == {DESK: end}


@in_hours
async def test_an_agent_whose_sessions_cannot_start_is_told_with_the_reason() -> None:
    async with Stage() as stage:
        stage.livekit.faults["ws://livekit"] = Unreachable("no route")
        stage.apply_agent()
        await asyncio.sleep(0.5)
        assert told(stage, "agent_ready") == {(*DESK, "LiveKitUnreachable"): 0}

        stage.livekit.faults.clear()
        await asyncio.sleep(15)
        assert told(stage, "agent_ready") == {(*DESK, "Ready"): 1}


@in_hours
async def test_what_waits_to_be_looked_at_is_counted() -> None:
    stage = Stage()
    stage.queue.add(Item("session", ("voice", "one")))
    stage.queue.add(Item("session", ("voice", "two")))
    stage.queue.add(Item("session", ("voice", "two")))

    assert told(stage, "queue_depth") == {(): 2}


@in_hours
async def test_events_that_were_too_many_are_counted() -> None:
    stage = Stage()
    events = Events(stage.kube, "test", stage.sessions.clock)
    for _ in range(1003):
        events.post(Regarding("VoiceSession", "voice", "call", "uid"), Note("Said", "something"))
    stage.events.dropped = events.dropped

    assert told(stage, "events_dropped_total") == {(): 3}


@in_hours
async def test_a_voiceagent_tells_how_many_places_it_has_if_they_are_bounded() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        assert told(stage, "max_sessions") == {}
        stage.apply_agent(capacity={"maxSessions": 7})
        assert told(stage, "max_sessions") == {DESK: 7}


@in_hours
async def test_a_voiceagent_tells_how_much_room_is_held_if_it_wants_some() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        await asyncio.sleep(1)
        assert told(stage, "headroom_pods") == {}

        stage.apply_agent(capacity={"headroom": 2})
        await asyncio.sleep(1)
        (deployment,) = stage.kube.objects(DEPLOYMENTS)
        stage.kube.put(DEPLOYMENTS, "voice", {**deployment, "status": {"readyReplicas": 1}})
        await asyncio.sleep(11)
        assert told(stage, "headroom_pods") == {DESK: 1}
