"""A second operator: it takes over from one that is gone, and for a moment they may both lead."""

import asyncio
from functools import partial

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import Stage, clock
from tests.unit.reconcile.test_claims import call_in, owners, slow_claims, warm_desk
from voicepod.api.names import LABEL_SESSION
from voicepod.api.session import Phase
from voicepod.assignment.messages import EndReason
from voicepod.builders.pod import Owner
from voicepod.builders.warm import claim_patch
from voicepod.handlers.listing import Listing
from voicepod.kube.client import NODES, PODS, VOICE_AGENTS, VOICE_SESSIONS, Object

pytestmark = pytest.mark.unit


class Second(Stage):
    """Another operator in the same surroundings."""

    def __init__(self, first: Stage) -> None:
        self.kube, self.livekit, self.pods = first.kube, first.livekit, first.pods
        self.events = first.events
        self.standing_by = True
        self.deaf = False
        """Whether its watches tell it nothing."""
        self.start_operator()

    def _changed(self, kind: str, type_: str, item: Object) -> None:
        if not self.deaf:
            super()._changed(kind, type_, item)

    async def _operator(self, listing: Listing | None = None) -> None:
        if self.standing_by:
            await self.work.stand_by()
        else:
            await super()._operator(listing)

    async def lead(self) -> None:
        """Lead from now on."""
        await self.stop_operator()
        self.standing_by = False
        await self.begin_to_lead()


async def left_alone(first: Stage) -> dict[str, str]:
    """One call that goes on, and one that came when nobody led any more; who has which pod."""
    await warm_desk(first, 3)
    call_in(first, "one")
    await asyncio.sleep(0.5)
    before = owners(first)
    await first.stop_operator()
    call_in(first, "two")
    return before


@in_hours
async def test_a_call_goes_on_and_another_starts_when_the_standby_takes_over() -> None:
    async with Stage() as first, Second(first) as second:
        before = await left_alone(first)
        await asyncio.sleep(11)
        asked = len(first.kube.calls)

        await second.lead()
        await asyncio.sleep(1)

        assert first.status("one").phase is first.status("two").phase is Phase.ACTIVE
        assert owners(first) == before | {"two": first.status("two").pod}
        lists = [call for call in first.kube.calls[asked:] if call.verb == "list"]
        # Once everything, and nothing for a call of its own: of thousands that would be seconds. Of
        # pods those that wait, the waiting caller's, and all others.
        kinds = (NODES, VOICE_AGENTS, VOICE_SESSIONS, PODS, PODS, PODS)
        assert [call.plural for call in lists] == [kind.plural for kind in kinds]


@in_hours
async def test_who_waits_is_served_while_nothing_is_done_about_calls_whose_pods_are_unknown() -> (
    None
):
    async with Stage() as first:
        before = await left_alone(first)
        listed = asyncio.Event()

        async def fault(call: Call) -> None:
            # The third list of pods is that of all others.
            asked_for = ("list", PODS.plural)
            made = [(one.verb, one.plural) for one in first.kube.calls[asked:]]
            if (call.verb, call.plural) == asked_for and made.count(asked_for) == 3:
                await listed.wait()

        asked = len(first.kube.calls)
        first.kube.fault = fault
        first.start_operator()
        await first.begin_to_lead()
        await asyncio.sleep(1)
        # Something happens to the call that goes on, and to its pod.
        first.touch("an event", "one")
        await asyncio.sleep(1)

        assert first.status("two").phase is Phase.ACTIVE
        assert owners(first) == before | {"two": first.status("two").pod}
        assert first.world.unlisted == {("voice", "one")}
        assert not any(call.verb in ("create", "delete") for call in first.kube.calls[asked:])

        listed.set()
        await asyncio.sleep(1)

        assert first.status("one").phase is Phase.ACTIVE
        assert owners(first) == before | {"two": first.status("two").pod}
        assert any(
            (call.verb, call.plural) == ("create", PODS.plural) for call in first.kube.calls[asked:]
        ), "the pool is refilled"


@in_hours
async def test_the_standby_knows_what_became_of_a_call_since_it_saw_it_first() -> None:
    async with Stage() as first, Second(first) as second:
        await warm_desk(first, 2)
        call_in(first, "one")
        await asyncio.sleep(0.5)
        pod = first.status("one").pod
        first.edit_session("one", end=True)
        await asyncio.sleep(0.5)
        first.sidecar(pod).end(clock(), EndReason.TERMINATED, "told to")
        first.hint(pod)
        await asyncio.sleep(0.5)
        assert first.status("one").phase is Phase.ENDED
        await first.stop_operator()
        writes = len(first.session_writes())

        await second.lead()
        await asyncio.sleep(5)

        assert first.session_writes()[writes:] == []


@in_hours
async def test_a_claim_that_the_standby_was_not_told_of_is_not_made_twice() -> None:
    async with Stage() as first, Second(first) as second:
        await warm_desk(first, 2)
        second.kube.watch(PODS, partial(go_deaf_at_a_claim, second))
        call_in(first)
        await asyncio.sleep(0.5)
        (pod,) = owners(first).values()
        await first.stop_operator()

        await second.lead()
        await asyncio.sleep(1)

        assert owners(first) == {"call": pod}


@in_hours
async def test_places_that_the_standby_was_not_told_of_are_not_given_twice() -> None:
    async with Stage() as first, Second(first) as second:
        second.kube.watch(PODS, partial(go_deaf_at_a_claim, second))
        first.apply_agent(capacity={"maxSessions": 1})
        call_in(first, "one")
        await asyncio.sleep(0.5)
        assert list(owners(first)) == ["one"]
        await first.stop_operator()

        second.deaf = False
        call_in(second, "two")
        await second.lead()
        await asyncio.sleep(1)

        assert list(owners(first)) == ["one"]
        assert first.status("two").phase is Phase.QUEUED


def go_deaf_at_a_claim(stage: Second, _: str, pod: Object) -> None:
    stage.deaf = LABEL_SESSION in pod["metadata"]["labels"]


@in_hours
async def test_an_operator_that_stands_by_keeps_no_list_of_what_is_to_be_done() -> None:
    async with Stage() as first, Second(first) as second:
        await warm_desk(first, 1)
        for number in range(20):
            call_in(first, f"call-{number}")
        await asyncio.sleep(5)

        assert second.queue.depth == 0


def with_a_job(stage: Stage) -> list[str]:
    """The sessions of the pods that were given a job."""
    given = [stage.sidecar(name).assignment for name in stage.pod_names()]
    return [assignment.session.name for assignment in given if assignment]


@in_hours
async def test_two_that_lead_at_once_serve_each_call_once() -> None:
    async with Stage() as first, Second(first) as second:
        await warm_desk(first, 8)
        calls = [f"call-{number}" for number in range(5)]
        await second.lead()
        first.kube.fault = slow_claims
        for name in calls:
            call_in(first, name)
        await asyncio.sleep(10)

        assert sorted(with_a_job(first)) == sorted(owners(first)) == calls
        assert {first.status(name).phase for name in calls} == {Phase.ACTIVE}


@in_hours
async def test_a_claim_of_the_one_before_that_is_granted_late_takes_no_call_from_its_pod() -> None:
    async with Stage() as first, Second(first) as second:
        names = await warm_desk(first, 2)
        decided = clock()
        await first.stop_operator()
        await second.lead()
        call_in(first)
        await asyncio.sleep(0.5)
        pod = first.status().pod
        (other,) = set(names) - {pod}
        found = first._find(PODS, other)["metadata"]
        uid = first._find(VOICE_SESSIONS, "call")["metadata"]["uid"]
        owner = Owner("voice", "call", uid, "desk", "a room")
        late = claim_patch(found["uid"], int(found["resourceVersion"]), owner, 1, decided)
        await first.kube.patch(PODS, "voice", other, late)
        await asyncio.sleep(60)

        assert first.status().pod == pod
        assert first.status().phase is Phase.ACTIVE
        assert owners(first) == {"call": pod}
        assert with_a_job(first) == ["call"]
