"""From a new session until its agent is in the room."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.unit.reconcile.scenes import (
    AGENT,
    SID,
    at,
    call,
    condition_of,
    fresh,
    pod,
    room,
    running,
    session,
    starting,
)
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.session import Phase
from voicepod.assignment.messages import PodState
from voicepod.reconcile.actions import (
    Assign,
    ClaimPod,
    DeletePod,
    EndJob,
    LookAtPod,
    LookAtRoom,
    OpenRoom,
)
from voicepod.reconcile.decide import decide
from voicepod.reconcile.objects import Problem

pytestmark = pytest.mark.unit

PROBLEMS = [
    Problem(Reason.IMAGE_PULL_FAILED, "container 'agent': ImagePullBackOff: no such image"),
    Problem(Reason.CONTAINER_FAILED, "container 'agent': CreateContainerConfigError: no Secret"),
    Problem(Reason.POD_UNSCHEDULABLE, "no node takes the pod: 0/1 nodes are available"),
    Problem(Reason.AGENT_NOT_REGISTERED, "no agent has registered yet; see its log"),
]
CRASHED = Problem(Reason.AGENT_CRASHED, "the container 'agent' exited with code 1: ImportError")


def test_a_room_that_has_no_sid_yet_is_opened_before_a_pod_is_started() -> None:
    assert decide(fresh(session=session(room_sid=""))).actions == (OpenRoom(),)


def test_a_new_session_gets_a_pod_and_its_job_before_its_room_is_looked_at() -> None:
    assert decide(fresh()).actions == (ClaimPod(1),)
    assert decide(fresh(pod=pod(ready=True))).actions == (Assign(),)
    told = call(PodState.RUNNING, assigned=0, dispatched=0)
    dispatched = partial(fresh, pod=pod(ready=True), call=told)
    assert decide(dispatched(0.5, call_seen=at(0.5))).actions == ()
    assert decide(dispatched(1, call_seen=at(1))).actions == (LookAtRoom(),)


def test_a_room_is_looked_at_although_no_pod_can_be_started() -> None:
    refused = Problem(Reason.TEMPLATE_REFUSED, "no image")

    assert decide(fresh(problem=refused)).actions == (ClaimPod(1), LookAtRoom())


def test_the_status_of_an_agent_that_is_about_to_join_waits_a_moment() -> None:
    told = call(PodState.RUNNING, assigned=2, dispatched=2.1)
    joining = partial(starting, pod=pod(ready=True), call=told, call_seen=at(2.1))

    soon = decide(joining(2.2))
    assert soon.passing
    assert soon.wake == at(3)
    assert not decide(joining(3)).passing
    assert not decide(joining(2.2, problem=Problem(Reason.POD_UNREACHABLE, "gone"))).passing
    assert not decide(starting(2.2)).passing


@pytest.mark.parametrize(("seen", "made"), [(0.4, 0.4), (1.02, 1), (7, 1), (-0.2, 0)])
def test_a_session_was_made_at_the_latest_moment_that_its_whole_second_leaves(
    seen: float, made: float
) -> None:
    assert decide(fresh(now=seen)).status.times.received == at(made)


def test_a_session_without_its_agent_waits_and_says_for_whom() -> None:
    problem = Problem(Reason.AGENT_NOT_FOUND, "there is no VoiceAgent desk")

    decision = decide(fresh(problem=problem, knows_livekit=False))

    assert decision.actions == ()
    assert (decision.status.phase, decision.status.reason) == (Phase.PENDING, problem.reason)
    accepted = condition_of(decision.status, ConditionType.ACCEPTED)
    assert (accepted.status, accepted.reason) == ("False", problem.reason)
    assert accepted.message == problem.message


def test_a_session_goes_on_when_its_agent_appears() -> None:
    problem = Problem(Reason.AGENT_NOT_FOUND, "there is no VoiceAgent desk")
    waiting = decide(fresh(problem=problem, knows_livekit=False)).status

    assert ClaimPod(1) in decide(fresh(now=3600, status=waiting)).actions


@pytest.mark.parametrize(
    "reason",
    [
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_MISSING,
        Reason.LIVEKIT_UNREACHABLE,
        Reason.LIVEKIT_UNAUTHORIZED,
        Reason.TEMPLATE_REFUSED,
    ],
)
def test_what_has_to_be_mended_is_a_condition_and_the_pod_is_tried_again(reason: Reason) -> None:
    decision = decide(fresh(now=300, problem=Problem(reason, "mend it")))

    assert decision.status.phase is Phase.PENDING
    accepted = condition_of(decision.status, ConditionType.ACCEPTED)
    assert (accepted.status, accepted.reason, accepted.message) == ("False", reason, "mend it")
    assert ClaimPod(1) in decision.actions


def test_a_session_is_accepted_once_what_had_to_be_mended_is_mended() -> None:
    broken = decide(fresh(problem=Problem(Reason.SECRET_NOT_FOUND, "mend it"))).status

    mended = decide(starting(status=broken)).status

    assert condition_of(mended, ConditionType.ACCEPTED).status == "True"
    assert mended.phase is Phase.STARTING


def test_a_starting_pod_is_waited_for_until_the_start_deadline() -> None:
    decision = decide(starting(now=1))

    assert decision.actions == ()
    assert decision.wake == at(60)
    assert decision.status.phase is Phase.STARTING
    assert (decision.status.pod, decision.status.node) == ("call-1", "node-1")


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.reason)
def test_a_pod_that_does_not_start_tells_why_long_before_the_deadline(problem: Problem) -> None:
    status = decide(starting(pod=pod(problem=problem))).status

    assert (status.phase, status.reason, status.message) == (
        Phase.STARTING,
        problem.reason,
        problem.message,
    )
    ready = condition_of(status, ConditionType.POD_READY)
    assert (ready.status, ready.reason, ready.message) == ("False", problem.reason, problem.message)


@pytest.mark.parametrize("problem", [*PROBLEMS, CRASHED], ids=lambda p: p.reason)
def test_after_the_start_deadline_the_session_fails_with_the_words_of_its_pod(
    problem: Problem,
) -> None:
    stuck = pod(problem=problem, finished=problem is CRASHED)

    decision = decide(starting(now=60, pod=stuck))

    assert decision.status.phase is Phase.FAILED
    assert decision.status.end_reason is problem.reason
    assert problem.message in decision.status.message
    tidied = decide(starting(now=60, pod=stuck, status=decision.status))
    assert tidied.actions == (DeletePod(stuck),)


def test_a_crash_is_told_rather_than_the_refusals_that_came_of_it() -> None:
    refused = Problem(Reason.AGENT_NOT_REGISTERED, "no agent is registered")

    status = decide(starting(pod=pod(problem=CRASHED, finished=True), problem=refused)).status

    assert status.reason is CRASHED.reason
    assert CRASHED.message in status.message


@pytest.mark.parametrize(
    ("lost", "reason", "words"),
    [
        ({"pod": pod(problem=CRASHED, finished=True)}, Reason.AGENT_CRASHED, CRASHED.message),
        ({"pod": pod(ready=True, deleting=True)}, Reason.AGENT_LOST, "somebody deleted"),
        (
            {
                "pod": pod(ready=True),
                "call": call(PodState.ENDED, end="it raised", assigned=2, dispatched=2.1, ended=3),
            },
            Reason.AGENT_NOT_JOINED,
            "it raised",
        ),
    ],
    ids=["crashed", "deleted", "raised"],
)
def test_an_agent_that_is_lost_before_it_has_joined_is_replaced_at_once(
    lost: dict[str, Any], reason: Reason, words: str
) -> None:
    decision = decide(starting(now=4, **lost))

    assert decision.status.phase is Phase.STARTING
    (loss,) = decision.status.lost
    assert loss.reason is reason
    assert words in loss.message
    going = [] if lost["pod"].deleting else [DeletePod(lost["pod"], at_once=True)]
    assert decision.actions == tuple(going)


def test_an_agent_that_has_the_job_and_does_not_join_is_replaced() -> None:
    told = call(PodState.RUNNING, assigned=2, dispatched=2.1)
    joining = partial(starting, pod=pod(ready=True), call=told, call_seen=at(17))

    assert not decide(joining(17)).status.lost
    (loss,) = decide(joining(17.1)).status.lost
    assert loss.reason is Reason.AGENT_NOT_JOINED


def test_an_agent_that_has_the_job_and_does_not_join_is_told_to_end_after_the_deadline() -> None:
    dispatched = call(PodState.RUNNING, assigned=2, dispatched=2.1)

    decision = decide(starting(now=60, pod=pod(ready=True), call=dispatched, call_seen=at(60)))

    assert decision.status.phase is Phase.ENDING
    assert decision.status.end_reason is Reason.AGENT_NOT_JOINED
    assert EndJob(Reason.AGENT_NOT_JOINED) in decision.actions


def test_an_agent_that_never_took_its_job_fails_with_the_refusal() -> None:
    refused = Problem(Reason.AGENT_REFUSED, "the agent did not take the job")

    decision = decide(starting(now=60, pod=pod(ready=True), problem=refused))

    assert decision.status.end_reason is Reason.AGENT_REFUSED
    assert refused.message in decision.status.message


def test_an_agent_that_may_have_joined_unnoticed_is_asked_for_before_its_session_fails() -> None:
    late = decide(starting(now=60, pod=pod(ready=True)))
    assert LookAtPod() in late.actions
    assert late.status.phase is Phase.STARTING

    came = decide(starting(now=61, pod=pod(ready=True), call=running(), call_seen=at(61)))
    assert came.status.phase is Phase.ACTIVE

    assigned = call(PodState.RUNNING, assigned=2.0, dispatched=2.1)
    never = decide(starting(now=61, pod=pod(ready=True), call=assigned, call_seen=at(61)))
    assert never.status.end_reason is Reason.AGENT_NOT_JOINED


def test_a_pod_that_is_ready_gets_the_job() -> None:
    decision = decide(starting(pod=pod(ready=True)))

    assert Assign() in decision.actions
    assert condition_of(decision.status, ConditionType.POD_READY).status == "True"


def test_a_pod_gets_the_job_as_soon_as_its_sidecar_tells_of_the_agent() -> None:
    assert Assign() in decide(starting(call=call(PodState.WARM, registered=1))).actions


def test_a_pod_whose_agent_has_not_registered_gets_no_job() -> None:
    assert Assign() not in decide(starting(call=call(PodState.STARTING))).actions


@pytest.mark.parametrize("gone", [pod(finished=True, problem=CRASHED), pod(deleting=True)])
def test_a_pod_that_is_going_gets_no_job_whatever_its_sidecar_said(gone: object) -> None:
    assert Assign() not in decide(starting(pod=gone, call=call(PodState.WARM))).actions


def test_a_pod_whose_agent_refused_is_not_offered_the_job_again() -> None:
    refused = call(PodState.ENDED, end="the agent refused the job", ended=2)

    assert Assign() not in decide(starting(pod=pod(ready=True), call=refused)).actions


def test_after_the_dispatch_the_sidecar_is_asked_every_two_seconds_until_the_agent_joined() -> None:
    dispatched = call(PodState.RUNNING, assigned=2, dispatched=2.1)
    scene = starting(now=3, pod=pod(ready=True), call=dispatched, call_seen=at(2.2))

    early, late = decide(scene), decide(replace(scene, now=at(4.2)))

    assert (early.actions, early.wake) == ((), at(4.2))
    assert late.actions == (LookAtPod(),)


def test_a_hint_makes_the_sidecar_be_asked() -> None:
    assert LookAtPod() in decide(starting(call_stale=True)).actions


def test_a_pod_without_an_address_cannot_be_asked() -> None:
    assert LookAtPod() not in decide(starting(pod=pod(ip=""), call_stale=True)).actions


def test_a_pod_that_went_away_before_its_agent_joined_is_replaced_within_the_deadline() -> None:
    assert ClaimPod(2) in decide(starting(now=30, pod=None)).actions


def test_a_pod_that_went_away_and_was_not_replaced_in_time_fails_the_session() -> None:
    decision = decide(starting(now=60, pod=None))

    assert decision.status.phase is Phase.FAILED
    assert decision.actions == ()


def test_a_caller_who_left_before_the_pod_is_up_takes_the_pod_along() -> None:
    left = decide(starting(now=5, room=room(), room_seen=at(5)))
    over = decide(starting(now=15, status=left.status, room=room(), room_seen=at(15)))

    assert left.status.phase is Phase.STARTING
    assert left.wake == at(15)
    assert over.status.end_reason is Reason.CALLER_LEFT
    assert over.status.phase is Phase.ENDED
    assert over.actions == ()
    tidied = decide(starting(now=15, status=over.status, room=room(), room_seen=at(15)))
    assert tidied.actions == (DeletePod(pod()),)


def test_a_caller_who_left_before_there_is_a_pod_ends_the_session_without_one() -> None:
    pending = starting(pod=None, status=decide(fresh(room=room("caller"))).status)
    left = decide(replace(pending, now=at(5), room=room(), room_seen=at(5))).status

    over = decide(replace(pending, now=at(15), status=left, room=room(), room_seen=at(15)))

    assert (over.status.phase, over.status.end_reason) == (Phase.ENDED, Reason.CALLER_LEFT)
    assert over.actions == ()
    assert over.status.pod_seconds is None


def test_the_room_is_looked_at_again_when_livekit_says_it_has_changed() -> None:
    assert LookAtRoom() in decide(starting(room_stale=True)).actions


def test_a_session_whose_agent_joins_becomes_active_with_its_times() -> None:
    status = decide(starting(now=4, pod=pod(ready=True), call=running(), call_seen=at(4))).status

    assert status.phase is Phase.ACTIVE
    assert (status.times.assigned, status.times.joined) == (at(2), at(3))
    assert status.times.first_audio == at(3.5)
    assert (status.identity, status.room_sid) == (AGENT, SID)
    for type_ in (ConditionType.ACCEPTED, ConditionType.POD_READY, ConditionType.ACTIVE):
        assert condition_of(status, type_).status == "True"


def test_a_warm_pod_is_claimed_when_it_was_claimed_and_not_when_it_was_made() -> None:
    warm = pod(created=at(-3600), claimed=at(0.5), ready=True)
    status = decide(fresh(now=1, pod=warm, room=room("caller"), room_seen=at(0))).status

    assert status.times.claimed == at(0.5)
    assert status.end_reason is None
