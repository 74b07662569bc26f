"""Two hundred callers on fifty places: the line, by the real loop, queue and reconciler."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage
from tests.unit.reconcile import pods
from tests.unit.reconcile.test_claims import be_ready, call_in
from voicepod.api.agent import VoiceAgentStatus
from voicepod.api.conditions import Reason
from voicepod.api.names import LABEL_SESSION
from voicepod.api.session import Phase
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS, Object
from voicepod.kube.errors import Refused, Unavailable

pytestmark = pytest.mark.unit

PLACES: Final = 50
CALLERS: Final = {"acme": 130, "bolt": 50, "coin": 20}

# Seconds: how long a pod takes to be up, and how long the calls last: no two end at one moment.
UP, TALK = 2.0, 40.0
SPREAD, STEP = 40.0, 7.31


class Hotline:
    """Pods that come up, callers who hang up after a while, and who got a place when."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.served: list[str] = []
        """Sessions in the order in which they got their pods."""
        self.most = 0
        """Sessions that had a pod at once, at the most."""
        self.unfair: list[str] = []
        stage.kube.watch(PODS, self._pod)
        stage.kube.watch(VOICE_SESSIONS, self._session)

    def _pod(self, type_: str, item: Object) -> None:
        name = item["metadata"]["labels"].get(LABEL_SESSION)
        if type_ == "ADDED" and name:
            self.served.append(name)
            self.most = max(self.most, len(self._on_call()))
            self._judge(name)
            later = partial(be_ready, self._stage, item["metadata"]["name"])
            asyncio.get_running_loop().call_later(UP, later)

    def _session(self, type_: str, item: Object) -> None:
        status = item.get("status", {})
        if type_ == "MODIFIED" and status.get("phase") == "Active":
            talk = TALK + self.served.index(item["metadata"]["name"]) * STEP % SPREAD
            asyncio.get_running_loop().call_later(talk, self._hang_up, item)

    def _hang_up(self, item: Object) -> None:
        self._stage.livekit.rooms.pop(item["spec"]["room"], None)
        self._stage.intake.room_hint(("voice", item["metadata"]["name"]))

    def _on_call(self) -> list[str]:
        labels = [item["metadata"]["labels"] for item in self._stage.kube.kept(PODS)]
        return [one[LABEL_SESSION] for one in labels if LABEL_SESSION in one]

    def _judge(self, goes: str) -> None:
        """Say so when it was another tenant's turn, or another session's of the same one."""
        places = Counter(tenant(name) for name in self._on_call() if name != goes)
        for item in self._stage.kube.kept(VOICE_SESSIONS):
            other = item["metadata"]["name"]
            if item.get("status", {}).get("phase") != "Queued" or other in self.served:
                continue
            if places[tenant(other)] < places[tenant(goes)] or (
                tenant(other) == tenant(goes) and number(other) < number(goes)
            ):
                self.unfair.append(f"{goes} before {other}, with {dict(places)}")


def tenant(name: str) -> str:
    return name.partition("-")[0]


def number(name: str) -> int:
    return int(name.rpartition("-")[2])


def everybody() -> Iterator[str]:
    """The callers: the largest tenant's come first, all at once."""
    for name, count in CALLERS.items():
        yield from (f"{name}-{one:03}" for one in range(count))


def apply_desk(stage: Stage, places: int = PLACES, **capacity: Any) -> None:
    stage.apply_agent(
        capacity={"maxSessions": places, "tenantFrom": {"label": "tenant"}, **capacity},
        lifecycle={"shutdownGrace": "0s"},
    )


async def all_call(stage: Stage) -> list[str]:
    names = list(everybody())
    for name in names:
        call_in(stage, name, labels={"tenant": tenant(name)})
    return names


def seconds_between(start: datetime | None, end: datetime | None) -> float:
    assert start
    assert end
    return (end - start).total_seconds()


def phases(stage: Stage, *names: str) -> list[Phase]:
    return [stage.status(name).phase for name in names]


@pytest.mark.parametrize("restarts", [[], [3.0, 30.0, 61.5, 100.0]], ids=["quiet", "restarted"])
def test_two_hundred_callers_of_three_tenants_on_fifty_places(restarts: list[float]) -> None:
    @in_hours
    async def play() -> None:
        async with Stage() as stage:
            hotline = Hotline(stage)
            apply_desk(stage, queueDeadline="1h")
            names = await all_call(stage)
            for earlier, later in pairwise([0.0, *restarts]):
                await asyncio.sleep(later - earlier)
                await stage.restart_operator()
            await asyncio.sleep(600)

            statuses = [stage.status(name) for name in names]
            assert {status.end_reason for status in statuses} == {Reason.ROOM_CLOSED}
            assert sorted(hotline.served) == sorted(names)
            assert hotline.served[:PLACES] == names[:PLACES], "nobody else was there yet"
            assert hotline.most == PLACES
            assert hotline.unfair == []
            # Who came last, of a tenant with few calls, passes most of the largest one's.
            passed = hotline.served[hotline.served.index("coin-019") :]
            assert len([name for name in passed if tenant(name) == "acme"]) > 40

    play()


@in_hours
async def test_who_waits_for_longer_than_the_deadline_is_told_so_and_nobody_else() -> None:
    async with Stage() as stage:
        hotline = Hotline(stage)
        apply_desk(stage, queueDeadline="90s")
        names = await all_call(stage)
        await asyncio.sleep(600)

        statuses = {name: stage.status(name) for name in names}
        late = [one for one in statuses.values() if one.end_reason is Reason.QUEUE_DEADLINE]
        served = [statuses[name] for name in hotline.served]
        assert len(late) + len(served) == len(names)
        assert PLACES < len(served) < len(names)
        assert {one.end_reason for one in served} == {Reason.ROOM_CLOSED}
        assert {(one.phase, one.pod) for one in late} == {(Phase.FAILED, "")}
        for one in late:
            assert seconds_between(one.times.queued, one.times.ended) == pytest.approx(90, abs=0.1)
        for one in served[PLACES:]:
            assert seconds_between(one.times.queued, one.times.claimed) < 90


@in_hours
async def test_whoever_finds_no_place_is_turned_away_at_once_where_nobody_shall_wait() -> None:
    async with Stage() as stage:
        Hotline(stage)
        apply_desk(stage, places=1, whenFull="Reject")
        call_in(stage, "acme-1")
        call_in(stage, "acme-2")
        await asyncio.sleep(1)

        status = stage.status("acme-2")
        assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.AGENT_FULL)
        assert status.message == "1 of 1 places of VoiceAgent desk are taken"
        assert status.times.queued is None
        await asyncio.sleep(100)
        call_in(stage, "acme-3")
        await asyncio.sleep(5)
        assert phases(stage, "acme-1", "acme-3") == [Phase.ENDED, Phase.ACTIVE]


@in_hours
async def test_a_namespace_has_a_limit_of_its_own() -> None:
    async with Stage(voice=2) as stage:
        Hotline(stage)
        stage.apply_agent()
        for number in range(4):
            call_in(stage, f"acme-{number}")
        await asyncio.sleep(5)

        assert phases(stage, "acme-0", "acme-1") == [Phase.ACTIVE] * 2
        statuses = [stage.status("acme-2"), stage.status("acme-3")]
        assert [one.reason for one in statuses] == [Reason.NAMESPACE_FULL] * 2
        assert [one.queue and one.queue.position for one in statuses] == [1, 2]
        (agent,) = stage.kube.objects(VOICE_AGENTS)
        counts = VoiceAgentStatus.model_validate(agent["status"])
        assert (counts.active, counts.starting, counts.queued) == (2, 0, 2)


@in_hours
async def test_a_session_that_waited_costs_one_write_more_and_another_each_minute() -> None:
    async with Stage() as stage:
        Hotline(stage)
        apply_desk(stage, places=1, queueDeadline="1h")
        call_in(stage, "acme-1")
        await asyncio.sleep(UP + TALK - 20)
        call_in(stage, "acme-2")
        call_in(stage, "acme-3")
        await asyncio.sleep(5000)

        def statuses(name: str) -> int:
            return sum(call.name == name for call in stage.session_writes()) - 1  # its deletion

        assert statuses("acme-2") == statuses("acme-1") + 1
        assert statuses("acme-3") == statuses("acme-1") + 2
        ours = ("acme-2", "acme-2-1")
        assert sum(call.name in ours for call in stage.session_writes()) <= 9


@in_hours
async def test_a_call_that_loses_its_pod_gets_another_before_whoever_waits() -> None:
    async with Stage() as stage:
        Hotline(stage)
        apply_desk(stage, places=1)
        call_in(stage, "acme-1")
        call_in(stage, "acme-2", priority=10)
        await asyncio.sleep(5)
        assert phases(stage, "acme-1", "acme-2") == [Phase.ACTIVE, Phase.QUEUED]

        stage.kubelet(pods.EVICTED["status"], "acme-1-1")
        await asyncio.sleep(5)

        assert phases(stage, "acme-1", "acme-2") == [Phase.ACTIVE, Phase.QUEUED]
        assert stage.status("acme-1").generation == 2


@in_hours
async def test_more_places_and_priorities_count_for_those_who_wait_already() -> None:
    async with Stage() as stage:
        Hotline(stage)
        apply_desk(stage, places=1)
        for number in range(4):
            call_in(stage, f"acme-{number}")
        await asyncio.sleep(5)
        stage.edit_session("acme-3", priority=1)
        await asyncio.sleep(1)

        apply_desk(stage, places=2)
        await asyncio.sleep(5)

        waiting = [Phase.ACTIVE, Phase.QUEUED, Phase.QUEUED, Phase.ACTIVE]
        assert phases(stage, *(f"acme-{number}" for number in range(4))) == waiting


@in_hours
async def test_a_caller_who_leaves_the_line_gets_no_pod() -> None:
    async with Stage() as stage:
        hotline = Hotline(stage)
        apply_desk(stage, places=1)
        for number in range(3):
            call_in(stage, f"acme-{number}")
        await asyncio.sleep(5)

        stage.livekit.rooms.pop("room of acme-1")
        stage.intake.room_hint(("voice", "acme-1"))
        stage.kube.remove(VOICE_SESSIONS, "voice", "acme-0")
        await asyncio.sleep(5)

        assert stage.status("acme-1").end_reason is Reason.ROOM_CLOSED
        assert hotline.served == ["acme-0", "acme-2"]
        assert stage.status("acme-2").phase is Phase.ACTIVE


@in_hours
async def test_a_session_that_cannot_start_keeps_nobody_from_the_place() -> None:
    async with Stage() as stage:
        Hotline(stage)

        async def fault(request: Call) -> None:
            if (request.verb, request.name) == ("create", "acme-1-1"):
                raise Refused("exceeded quota")

        stage.kube.fault = fault
        apply_desk(stage, places=1)
        call_in(stage, "acme-1")
        call_in(stage, "acme-2")
        await asyncio.sleep(10)

        # Each try is at the place of who came first, as long as it is free.
        assert phases(stage, "acme-1", "acme-2") == [Phase.QUEUED, Phase.ACTIVE]
        stage.kube.fault = None
        await asyncio.sleep(TALK)
        assert phases(stage, "acme-1", "acme-2") == [Phase.ACTIVE, Phase.ENDED]


@in_hours
async def test_a_claim_whose_answer_got_lost_keeps_its_place() -> None:
    async with Stage() as stage:
        hotline = Hotline(stage)

        async def fault(request: Call) -> None:
            if (request.verb, request.name) == ("create", "acme-1-1"):
                raise Unavailable("gone")

        stage.kube.fault = fault
        apply_desk(stage, places=1)
        call_in(stage, "acme-1")
        call_in(stage, "acme-2")
        await asyncio.sleep(10)

        assert hotline.served == []
        assert phases(stage, "acme-2") == [Phase.QUEUED]
