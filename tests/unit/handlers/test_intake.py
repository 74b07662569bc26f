import copy
from typing import Any

import pytest

from tests.support.hours import in_hours, now
from tests.support.operator_stage import clock
from tests.unit.reconcile import pods
from tests.unit.reconcile.test_objects import SESSION
from voicepod.api.names import (
    ANNOTATION_ROOM_CHANGED,
    LABEL_AGENT,
    LABEL_SESSION,
)
from voicepod.api.session import Phase
from voicepod.handlers.intake import Intake
from voicepod.reconcile.loop import Item, Queue
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.world import World

pytestmark = pytest.mark.unit

BUDGET = Item("budget", ("voice", "voicepod-live-calls"))
DESK, CALL, POD = ("voice", "desk"), ("voice", "call"), ("voice", "call-1")
ALL_OF_DESK = [Item("agent", DESK), Item("pool", DESK), Item("headroom", DESK)]
AGENT_SPEC = {
    "livekit": {"url": "ws://livekit", "credentialsSecretRef": {"name": "keys"}},
    "template": {"spec": {"containers": [{"name": "agent"}]}},
}


def agent(version: int = 1, generation: int = 1, uid: str = "desk-uid") -> dict[str, Any]:
    metadata = {
        "name": "desk",
        "namespace": "voice",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": generation,
    }
    return {"metadata": metadata, "spec": AGENT_SPEC}


def session(version: int = 42, **metadata: Any) -> dict[str, Any]:
    raw = copy.deepcopy(SESSION)
    raw["metadata"] |= {"resourceVersion": str(version)} | metadata
    return raw


class Desk:
    """An intake, and what it has enqueued since it was asked last."""

    def __init__(self) -> None:
        self.world, self.queue = World(), Queue()
        self.intake = Intake(self.world, self.queue, Metrics(self.world, clock), clock)

    async def enqueued(self) -> list[Item]:
        """What is to be worked on now; what comes later stays."""
        items = []
        while self.queue.depth:
            items.append(await self.queue.take())
            self.queue.done(items[-1])
        return items


@in_hours
async def test_a_new_agent_and_its_waiting_sessions_are_looked_at() -> None:
    desk = Desk()
    desk.intake.session(session(), deleted=False)
    await desk.enqueued()

    desk.intake.agent(agent(), deleted=False)

    assert await desk.enqueued() == [*ALL_OF_DESK, Item("session", CALL)]


@in_hours
async def test_an_agents_new_status_is_no_news() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    await desk.enqueued()

    desk.intake.agent(agent(version=2), deleted=False)

    assert await desk.enqueued() == []
    assert desk.world.agents[DESK].version == 2


@pytest.mark.parametrize(
    "changed", [agent(version=2, generation=2), agent(version=2, uid="another")]
)
def test_an_agents_new_spec_is_news(changed: dict[str, Any]) -> None:
    @in_hours
    async def run() -> None:
        desk = Desk()
        desk.intake.agent(agent(), deleted=False)
        await desk.enqueued()

        desk.intake.agent(changed, deleted=False)

        assert await desk.enqueued() == ALL_OF_DESK

    run()


@in_hours
async def test_a_finished_session_is_not_looked_at_because_of_its_agent() -> None:
    desk = Desk()
    desk.intake.session(session(), deleted=False)
    desk.world.records[CALL].status.phase = Phase.ENDED
    await desk.enqueued()

    desk.intake.agent(agent(), deleted=False)

    assert await desk.enqueued() == ALL_OF_DESK


@in_hours
async def test_a_deleted_agent_is_forgotten_and_its_sessions_are_told() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    desk.intake.session(session(), deleted=False)
    await desk.enqueued()

    desk.intake.agent(agent(version=9), deleted=True)

    assert DESK not in desk.world.agents
    assert await desk.enqueued() == [*ALL_OF_DESK, Item("session", CALL)]


@in_hours
async def test_agents_count_their_sessions_later_and_once_for_many() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    await desk.enqueued()
    start = now()

    for version in (42, 43, 44):
        desk.intake.session(session(version), deleted=False)

    assert await desk.enqueued() == [Item("session", CALL)]
    assert await desk.queue.take() == Item("agent", DESK)
    assert now() == start + 3


@in_hours
async def test_a_deleted_session_is_looked_at_so_that_its_pods_go() -> None:
    desk = Desk()
    desk.intake.session(session(), deleted=False)
    await desk.enqueued()

    desk.intake.session(session(43), deleted=True)

    assert CALL not in desk.world.records
    assert await desk.enqueued() == [Item("session", CALL)]


@in_hours
async def test_a_pod_that_is_labelled_but_of_no_session_is_nobodys() -> None:
    desk = Desk()
    for owners in ([], [{"kind": "ReplicaSet", "name": "other", "uid": "other"}]):
        raw = copy.deepcopy(pods.RUNS)
        raw["metadata"]["ownerReferences"] = owners
        desk.intake.pod(raw, deleted=False)

    assert (desk.world.pods, await desk.enqueued()) == ({}, [])


@in_hours
async def test_a_pods_news_is_its_sessions() -> None:
    desk = Desk()

    desk.intake.pod(pods.RUNS, deleted=False)
    assert (await desk.enqueued(), list(desk.world.pods)) == ([Item("session", CALL)], [POD])

    desk.intake.pod(pods.RUNS, deleted=True)
    assert (await desk.enqueued(), list(desk.world.pods)) == ([Item("session", CALL)], [])


def warm(version: int = 1, **labels: str) -> dict[str, Any]:
    raw = copy.deepcopy(pods.IS_READY)
    owner = ("VoiceSession", "call") if LABEL_SESSION in labels else ("VoiceAgent", "desk")
    raw["metadata"] |= {
        "labels": {LABEL_AGENT: "desk", **labels},
        "ownerReferences": [{"kind": owner[0], "name": owner[1], "uid": f"{owner[1]}-uid"}],
        "resourceVersion": str(version),
    }
    return raw


@in_hours
async def test_a_warm_pods_news_is_its_pools() -> None:
    desk = Desk()

    desk.intake.pod(warm(), deleted=False)
    assert await desk.enqueued() == [Item("pool", DESK)]

    desk.intake.pod(warm(), deleted=True)
    assert await desk.enqueued() == [Item("pool", DESK)]


@in_hours
async def test_a_claim_that_only_the_watch_tells_of_is_news_to_pool_and_session() -> None:
    desk = Desk()
    desk.intake.pod(warm(), deleted=False)
    await desk.enqueued()

    desk.intake.pod(warm(version=2, **{LABEL_SESSION: "call"}), deleted=False)

    assert await desk.enqueued() == [Item("session", CALL), Item("pool", DESK)]


@in_hours
async def test_agents_count_their_warm_pods_later() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    await desk.enqueued()
    start = now()

    desk.intake.pod(warm(), deleted=False)

    assert await desk.enqueued() == [Item("pool", DESK)]
    assert (await desk.queue.take(), now()) == (Item("agent", DESK), start + 3)


@in_hours
async def test_a_hint_of_a_warm_pod_is_taken_and_asks_nobody() -> None:
    desk = Desk()
    desk.intake.pod(warm(), deleted=False)
    await desk.enqueued()

    assert desk.intake.hint(POD)

    assert await desk.enqueued() == []


@in_hours
async def test_a_hint_makes_what_is_known_of_the_pod_stale() -> None:
    desk = Desk()
    desk.intake.session(session(), deleted=False)
    desk.intake.pod(pods.RUNS, deleted=False)
    await desk.enqueued()

    assert desk.intake.hint(POD)

    assert desk.world.records[CALL].call_stale
    assert await desk.enqueued() == [Item("session", CALL)]


@in_hours
async def test_a_hint_about_a_room_has_it_looked_at() -> None:
    desk = Desk()
    assert not desk.intake.room_hint(CALL)
    desk.intake.session(session(), deleted=False)
    await desk.enqueued()

    assert desk.intake.room_hint(CALL)

    assert desk.world.records[CALL].room_stale
    assert await desk.enqueued() == [Item("session", CALL)]


@in_hours
async def test_a_hint_of_a_pod_that_nobody_knows_is_nothing() -> None:
    desk = Desk()
    assert not desk.intake.hint(POD)

    desk.intake.pod(pods.RUNS, deleted=False)
    assert not desk.intake.hint(POD)


@pytest.mark.parametrize(
    "broken",
    [
        {"metadata": {"name": "x", "namespace": "voice"}},
        session(creationTimestamp="yesterday"),
        {**session(), "spec": {"room": "a room"}},
    ],
)
def test_what_cannot_be_understood_is_passed_over(
    broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    @in_hours
    async def run() -> None:
        desk = Desk()
        for take in (desk.intake.agent, desk.intake.session, desk.intake.pod):
            take(broken, deleted=False)

        assert await desk.enqueued() == []

    run()
    assert len(caplog.messages) == 3
    assert all("voice/" in message for message in caplog.messages)


def node(cordoned: bool, name: str = "node-1") -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"unschedulable": True} if cordoned else {}}


@in_hours
async def test_a_cordoned_node_has_its_calls_guarded_and_its_pools_looked_at() -> None:
    desk = Desk()
    desk.intake.pod(pods.RUNS, deleted=False)
    await desk.enqueued()

    desk.intake.node(node(cordoned=True), deleted=False)
    assert set(desk.world.cordoned) == {"node-1"}
    assert await desk.enqueued() == [BUDGET, Item("pool", DESK)]

    # What else its kubelet has to say.
    desk.intake.node(node(cordoned=True), deleted=False)
    desk.intake.node(node(cordoned=True, name="node-2"), deleted=False)
    assert await desk.enqueued() == []

    desk.intake.pod(pods.RUNS, deleted=True)
    assert await desk.enqueued() == [Item("session", CALL), BUDGET]


@pytest.mark.parametrize(("cordoned", "deleted"), [(False, False), (True, True)])
def test_a_node_that_is_not_cordoned_any_more_or_gone_is_as_any_other(
    cordoned: bool, deleted: bool
) -> None:
    @in_hours
    async def run() -> None:
        desk = Desk()
        desk.intake.pod(pods.RUNS, deleted=False)
        desk.intake.node(node(cordoned=True), deleted=False)
        await desk.enqueued()

        desk.intake.node(node(cordoned), deleted)

        assert desk.world.cordoned == {}
        assert await desk.enqueued() == [BUDGET, Item("pool", DESK)]

    run()


@in_hours
async def test_a_node_that_its_last_call_has_left_may_leave_a_budget_behind() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    desk.intake.node(node(cordoned=True), deleted=False)
    await desk.enqueued()

    desk.intake.node(node(cordoned=False), deleted=False)

    assert await desk.enqueued() == [BUDGET]


@in_hours
async def test_who_begins_to_lead_looks_at_everything_and_asks_nobody_what_there_is() -> None:
    desk = Desk()
    desk.intake.agent(agent(), deleted=False)
    desk.intake.session(session(), deleted=False)
    desk.intake.pod(pods.RUNS, deleted=False)
    left_over = copy.deepcopy(pods.RUNS)
    left_over["metadata"] |= {"name": "gone-1", "uid": "gone-uid"}
    left_over["metadata"]["labels"][LABEL_SESSION] = "gone"
    desk.intake.pod(left_over, deleted=False)
    await desk.enqueued()

    desk.intake.take_over()

    assert set(await desk.enqueued()) == {
        *ALL_OF_DESK,
        Item("session", CALL),
        Item("session", ("voice", "gone")),
        BUDGET,
    }


def active() -> dict[str, Any]:
    """A call that goes on."""
    return session(annotations={}) | {"status": {"phase": Phase.ACTIVE}}


@in_hours
async def test_nobody_waits_while_who_begins_to_lead_looks_at_calls_that_go_on() -> None:
    desk = Desk()
    desk.intake.session(active(), deleted=False)
    desk.intake.pod(pods.IS_READY, deleted=False)

    desk.intake.take_over()

    assert await desk.enqueued() == []
    assert await desk.queue.take_patient() == Item("session", CALL)


@in_hours
async def test_when_sessions_can_start_again_calls_that_go_on_come_last() -> None:
    desk = Desk()
    desk.intake.session(active(), deleted=False)
    desk.intake.pod(pods.IS_READY, deleted=False)
    desk.intake.session(session(name="waits"), deleted=False)
    await desk.enqueued()

    desk.intake.sessions_of(DESK)

    assert await desk.enqueued() == [Item("session", ("voice", "waits"))]
    assert await desk.queue.take_patient() == Item("session", CALL)


@pytest.mark.parametrize("news", ["touched", "to end", "pod not ready", "pod deleted", "pod gone"])
def test_a_call_that_something_has_happened_to_is_looked_at_at_once(news: str) -> None:
    @in_hours
    async def run() -> None:
        desk = Desk()
        call, pod = active(), copy.deepcopy(pods.IS_READY)
        match news:
            case "touched":
                call["metadata"]["annotations"] = {ANNOTATION_ROOM_CHANGED: "an event"}
            case "to end":
                call["spec"]["end"] = True
            case "pod not ready":
                pod = copy.deepcopy(pods.CREATING)
            case "pod deleted":
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
            case "pod gone":
                pod = {}
        desk.intake.session(call, deleted=False)
        if pod:
            desk.intake.pod(pod, deleted=False)
        await desk.enqueued()

        desk.intake.take_over()

        assert Item("session", CALL) in await desk.enqueued()

    run()
