"""From the end of the call until the session itself is gone."""

from dataclasses import replace

import pytest

from tests.unit.reconcile.scenes import (
    CLOSED,
    alone,
    at,
    condition_of,
    ending,
    fresh,
    in_call,
    pod,
    room,
    running,
    session,
    starting,
)
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Phase
from voicepod.assignment.messages import PodState
from voicepod.reconcile.actions import (
    CloseRoom,
    DeletePod,
    DeleteSession,
    EndJob,
    EvictAgent,
    LookAtPod,
)
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed

pytestmark = pytest.mark.unit

READY = pod(ready=True)

ENDS = [
    (in_call(session=session(end=True)), Reason.REQUESTED),
    (in_call(session=session(deleting=True)), Reason.REQUESTED),
    (in_call(room_holder="earlier"), Reason.ROOM_TAKEN),
    (in_call(room=CLOSED), Reason.ROOM_CLOSED),
    (in_call(call=running(closes_room=True), room=CLOSED), Reason.AGENT_CLOSED_ROOM),
    (in_call(call=running(idle=True)), Reason.IDLE_TIMEOUT),
    (in_call(now=8000), Reason.MAX_DURATION),
    (alone(now=20, room_seen=at(20)), Reason.CALLER_LEFT),
]


def test_a_session_that_never_had_a_pod_goes_in_its_time_as_well() -> None:
    never = fresh(now=5, session=session(end=True), lifecycle=Lifecycle(ttl_after_finished="60s"))
    over = decide(never)
    assert (over.status.phase, over.actions, over.wake) == (Phase.ENDED, (), at(65))

    gone = replace(never, status=over.status, now=at(65))
    assert decide(gone).actions == (DeleteSession(),)


@pytest.mark.parametrize(("scene", "reason"), ENDS, ids=lambda value: str(value)[:20])
def test_the_agent_may_say_goodbye_and_is_told_why(scene: Observed, reason: Reason) -> None:
    decision = decide(scene)

    assert decision.actions == (() if reason is Reason.ROOM_CLOSED else (EndJob(reason),))
    status = decision.status
    assert (status.phase, status.reason, status.end_reason) == (Phase.ENDING, reason, reason)
    assert status.times.ending == scene.now
    active = condition_of(status, ConditionType.ACTIVE)
    assert (active.status, active.reason) == ("False", reason)


@pytest.mark.parametrize(("scene", "reason"), ENDS, ids=lambda value: str(value)[:20])
def test_when_the_agent_has_said_goodbye_the_pod_goes_and_the_ledger_is_closed(
    scene: Observed, reason: Reason
) -> None:
    goodbye = replace(
        scene,
        status=decide(scene).status,
        call=running(state=PodState.ENDED, end="told to"),
        now=scene.now.replace(microsecond=500_000),
    )

    decision = decide(goodbye)

    assert decision.actions == ()
    assert decide(replace(goodbye, status=decision.status)).actions == (DeletePod(READY),)
    assert (decision.status.phase, decision.status.end_reason) == (Phase.ENDED, reason)
    assert decision.status.times.ended == goodbye.now
    ledger = decision.status.pod_seconds
    assert ledger is not None
    assert ledger.talking + ledger.waiting == (goodbye.now - at(0)).total_seconds()


def test_an_agent_that_was_told_is_asked_every_two_seconds_whether_it_is_done() -> None:
    early, late = decide(ending(now=21)), decide(ending(now=22))

    assert (early.actions, early.wake) == ((), at(22))
    assert late.actions == (LookAtPod(),)


def test_an_agent_that_says_goodbye_for_too_long_is_cut_off() -> None:
    last, over = decide(ending(now=29, call_seen=at(29))), decide(ending(now=30, call_seen=at(29)))

    assert last.wake == at(30)
    assert over.actions == (EvictAgent(),)
    assert decide(ending(now=30, status=over.status)).actions == (DeletePod(READY),)
    assert over.status.phase is Phase.ENDED


def test_an_agent_that_may_have_missed_its_end_is_told_again() -> None:
    assert decide(ending(call=running())).actions == (EndJob(Reason.REQUESTED),)
    assert EndJob(Reason.REQUESTED) in decide(ending(call=None, call_seen=None)).actions


def test_an_agent_whose_room_was_closed_is_told_only_when_it_does_not_leave_by_itself() -> None:
    closed = decide(in_call(now=20, room=CLOSED, room_seen=at(20)))
    assert (closed.actions, closed.passing, closed.wake) == ((), True, at(21))
    told = decide(in_call(now=20, status=closed.status, room=CLOSED, call_stale=True))
    assert (told.actions, told.passing) == ((LookAtPod(),), True)

    later = in_call(now=21, status=closed.status, room=CLOSED, call_seen=at(20))
    assert decide(later).actions == (EndJob(Reason.ROOM_CLOSED),)
    slow = decide(replace(later, call=running(state=PodState.ENDING)))
    assert (slow.actions, slow.passing) == ((), False)
    assert not decide(in_call(now=20, session=session(end=True))).passing


def test_the_first_reason_of_an_end_stays() -> None:
    status = decide(ending(now=21, room=CLOSED, room_holder="earlier")).status

    assert (status.end_reason, status.message) == (Reason.REQUESTED, "spec.end was set")


@pytest.mark.parametrize(
    "gone", [None, pod(ready=True, deleting=True), pod(finished=True)], ids=["", "going", "over"]
)
def test_nobody_is_told_when_the_pod_is_going_anyway(gone: object) -> None:
    decision = decide(ending(now=21, pod=gone))

    assert EndJob(Reason.REQUESTED) not in decision.actions
    assert decision.status.phase is Phase.ENDED
    still_there = [] if gone is None or gone == pod(ready=True, deleting=True) else [gone]
    tidied = decide(ending(now=21, pod=gone, status=decision.status))
    assert [a.pod for a in tidied.actions if isinstance(a, DeletePod)] == still_there


def test_a_pod_that_has_no_job_yet_goes_at_once() -> None:
    scene = starting(session=session(end=True))
    decision = decide(scene)

    assert decision.actions == ()
    assert decide(replace(scene, status=decision.status)).actions == (DeletePod(pod()),)
    assert (decision.status.phase, decision.status.end_reason) == (Phase.ENDED, Reason.REQUESTED)


def test_a_session_that_is_ended_before_it_began_never_gets_a_pod() -> None:
    decision = decide(fresh(session=session(end=True)))

    assert decision.actions == ()
    assert decision.status.phase is Phase.ENDED
    assert decision.status.pod_seconds is None


def test_a_finished_session_has_its_pod_deleted_until_it_is_gone() -> None:
    ended = decide(starting(session=session(end=True))).status

    assert DeletePod(pod()) in decide(starting(now=2, status=ended)).actions
    assert decide(starting(now=2, status=ended, pod=pod(deleting=True))).actions == ()


def test_a_finished_session_is_kept_for_its_time_and_then_deleted() -> None:
    ended = decide(fresh(session=session(end=True))).status

    kept, over = decide(fresh(now=1, status=ended)), decide(fresh(now=3600, status=ended))

    assert (kept.actions, kept.wake) == ((), at(3600))
    assert over.actions == (DeleteSession(),)
    going = fresh(now=3601, status=ended, session=session(end=True, deleting=True))
    assert decide(going).actions == ()


def test_a_session_that_is_not_to_be_kept_is_deleted_when_it_is_finished() -> None:
    ended = decide(fresh(session=session(end=True))).status

    decision = decide(fresh(status=ended, lifecycle=Lifecycle(ttl_after_finished="0s")))

    assert decision.actions == (DeleteSession(),)


def test_a_caller_who_came_and_left_between_two_looks_has_left() -> None:
    touched = replace(session(), room_changed="EV_1")
    status = fresh().status
    seen = decide(fresh(1, session=touched, status=status, room=room(), room_seen=at(1)))
    assert seen.status.times.left == at(1)

    later = starting(11, session=touched, status=seen.status, room=room(), room_seen=at(11))
    assert decide(later).status.end_reason is Reason.CALLER_LEFT


def test_a_room_that_nobody_told_of_is_waited_in() -> None:
    assert decide(starting(1, status=fresh().status, room=room())).status.times.left is None


def test_a_session_waits_until_the_room_is_closed_that_its_agent_wants_closed() -> None:
    wanted = running(state=PodState.ENDED, closes_room=True)
    open_still = decide(in_call(6, call=wanted))
    assert CloseRoom() in open_still.actions
    assert open_still.status.phase is Phase.ENDING

    closed = decide(in_call(7, status=open_still.status, call=wanted, room=CLOSED))
    assert closed.status.phase is Phase.ENDED
    assert closed.status.end_reason is Reason.AGENT_CLOSED_ROOM


def test_a_room_that_its_agent_wanted_closed_is_closed_by_the_next_operator_as_well() -> None:
    wanted = running(state=PodState.ENDED, closes_room=True)
    ending = decide(in_call(6, call=wanted)).status

    assert CloseRoom() in decide(in_call(7, status=ending, call=None, room=None)).actions
