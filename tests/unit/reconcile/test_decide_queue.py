"""Decisions while there is no place for a session."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from tests.unit.reconcile.scenes import CLOSED, at, condition_of, fresh, in_call, pod, room
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.session import InLine, Phase
from voicepod.livekit.rooms import Room
from voicepod.reconcile.actions import ClaimPod, LookAtRoom, OpenRoom
from voicepod.reconcile.capacity import Wait
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Problem

pytestmark = pytest.mark.unit

FULL: Final = Wait(
    Reason.AGENT_FULL, "all 50 places are taken", 7, rejects=False, deadline=timedelta(minutes=2)
)


def queued(now: float = 1, **changes: Any) -> Observed:
    """It waits since noon; its caller is in the room."""
    known = {"wait": FULL, "room": room("caller", agent=False), "room_seen": at(0)}
    status = decide(fresh(0, **known)).status
    return fresh(now, **(known | {"status": status} | changes))


def test_a_session_without_a_place_waits_and_says_where_it_stands() -> None:
    decision = decide(queued(30))

    status = decision.status
    assert decision.actions == ()
    assert (status.phase, status.reason) == (Phase.QUEUED, Reason.AGENT_FULL)
    assert status.queue == InLine(position=7, at=at(0))
    assert condition_of(status, ConditionType.ACTIVE).reason == Reason.AGENT_FULL
    assert decision.wake == at(60)


def test_the_position_is_written_once_a_minute() -> None:
    moved = replace(FULL, position=3)

    assert decide(queued(59, wait=moved)).status == queued().status
    assert decide(queued(60, wait=moved)).status.queue == InLine(position=3, at=at(60))


def test_the_room_is_open_before_the_session_waits() -> None:
    assert decide(fresh(wait=FULL, session=queued().session)).actions == (LookAtRoom(),)
    nobody = replace(queued().session, spec=queued().session.spec.model_copy())
    nobody.spec.room_sid = ""
    assert decide(fresh(wait=FULL, session=nobody)).actions == (OpenRoom(),)


def test_a_session_whose_turn_it_is_claims_a_pod() -> None:
    decision = decide(queued(30, wait=None))

    assert decision.actions == (ClaimPod(1),)
    assert decision.status.queue is None
    assert decision.status.times.queued == at(0)


def test_who_has_waited_for_the_deadline_is_given_up() -> None:
    assert decide(queued(119.9)).wake == at(120)

    status = decide(queued(120)).status

    assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.QUEUE_DEADLINE)
    assert status.message == "it was not its turn within queueDeadline: all 50 places are taken"
    assert status.pod_seconds is None


def test_who_has_a_pod_has_a_place() -> None:
    short = replace(FULL, deadline=timedelta(seconds=5))

    assert decide(queued(10, wait=short)).status.end_reason is Reason.QUEUE_DEADLINE
    assert decide(queued(10, wait=short, pod=pod())).status.end_reason is None


def test_a_deadline_shorter_than_a_minute_is_kept() -> None:
    short = replace(FULL, deadline=timedelta(seconds=5))

    assert decide(fresh(wait=short, room=room("caller"), room_seen=at(0))).wake == at(5)


def test_who_may_not_wait_fails_at_once_but_not_who_waits_already() -> None:
    rejects = replace(FULL, rejects=True)

    status = decide(fresh(wait=rejects)).status
    assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.AGENT_FULL)
    assert decide(queued(wait=rejects)).status.phase is Phase.QUEUED


@pytest.mark.parametrize(
    ("now", "there", "reason"),
    [(5, CLOSED, Reason.ROOM_CLOSED), (15, room(agent=False), Reason.CALLER_LEFT)],
)
def test_a_caller_who_leaves_the_line_ends_the_session(
    now: float, there: Room, reason: Reason
) -> None:
    left = decide(queued(5, room=there, room_seen=at(5))).status

    status = decide(queued(now, status=left, room=there, room_seen=at(now))).status

    assert (status.phase, status.end_reason) == (Phase.ENDED, reason)


def test_what_kept_a_session_from_starting_is_no_matter_while_it_waits() -> None:
    problem = Problem(Reason.TEMPLATE_REFUSED, "exceeded quota")

    status = decide(queued(problem=problem)).status

    assert (status.phase, status.reason) == (Phase.QUEUED, Reason.AGENT_FULL)


def test_a_call_whose_agent_was_lost_does_not_wait() -> None:
    lost = decide(in_call(10, pod=None, call=None)).status

    assert ClaimPod(2) in decide(in_call(10, pod=None, call=None, status=lost)).actions
