"""What holds whatever is observed, possible or not."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reconcile.scenes import SID, STARTING, at, pod, session, unix
from voicepod.api.conditions import Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Phase, Times, VoiceSessionStatus
from voicepod.assignment.messages import (
    AgentInfo,
    End,
    EndReason,
    JobInfo,
    PodState,
    PodStatus,
    Timestamps,
)
from voicepod.livekit.rooms import Room
from voicepod.reconcile.actions import (
    Assign,
    ClaimPod,
    DeletePod,
    DeleteSession,
    EndJob,
    LookAtPod,
    LookAtRoom,
)
from voicepod.reconcile.capacity import Wait
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Problem

pytestmark = pytest.mark.unit

# Within it lie all deadlines but the longest; the edges are hit on purpose.
seconds = st.one_of(
    st.sampled_from([0, 2, 3, 10, 13, 20, 60, 63, 3600, 7193, 7203]), st.floats(0, 10_000)
)
moments = seconds.map(at)
maybe = st.none() | moments
reasons = st.sampled_from(Reason)
problems = st.builds(Problem, reasons, st.text(max_size=5))
unix_moments = st.none() | seconds.map(unix)

times = st.builds(
    Times,
    **dict.fromkeys(
        (
            "received",
            "queued",
            "claimed",
            "assigned",
            "joined",
            "caller",
            "left",
            "ending",
            "ended",
        ),
        maybe,
    ),
)
statuses = st.builds(
    VoiceSessionStatus,
    phase=st.sampled_from(Phase),
    reason=st.none() | reasons,
    pod=st.sampled_from(["", "call-1"]),
    generation=st.integers(0, 3),
    room_sid=st.sampled_from(["", SID]),
    times=times,
    end_reason=st.none() | reasons,
)
pods = st.builds(
    pod,
    created=moments,
    ip=st.sampled_from(["", "10.0.0.1"]),
    ready=st.booleans(),
    deleting=st.booleans(),
    finished=st.booleans(),
    problem=st.none() | problems | st.just(STARTING),
    generation=st.integers(1, 3),
)
calls = st.builds(
    PodStatus,
    state=st.sampled_from(PodState),
    agent=st.builds(AgentInfo, connected=st.booleans()),
    job=st.none() | st.just(JobInfo("AJ_1", "agent-AJ_1")),
    at=st.builds(
        Timestamps,
        **dict.fromkeys(
            ("registered", "assigned", "accepted", "dispatched", "joined", "first_audio", "ended"),
            unix_moments,
        ),
    ),
    end=st.none() | st.builds(End, st.sampled_from(EndReason), st.text(max_size=5)),
    room_deletion_requested=st.booleans(),
    idle=st.booleans(),
)
waits = st.builds(
    Wait,
    reason=st.sampled_from([Reason.AGENT_FULL, Reason.NAMESPACE_FULL]),
    message=st.text(max_size=5),
    position=st.integers(1, 9),
    rejects=st.booleans(),
    deadline=seconds.map(lambda length: timedelta(seconds=length)),
)
rooms = st.builds(
    Room,
    name=st.just("a room"),
    sid=st.sampled_from(["", SID, "RM_2"]),
    callers=st.frozensets(st.sampled_from(["caller", "second"])),
)
observations = st.builds(
    Observed,
    now=moments,
    session=st.builds(
        session,
        end=st.booleans(),
        deleting=st.booleans(),
        room_sid=st.sampled_from(["", SID]),
    ),
    status=statuses,
    lifecycle=st.just(Lifecycle()),
    pod=st.none() | pods,
    call=st.none() | calls,
    call_seen=maybe,
    call_stale=st.booleans(),
    room=st.none() | rooms,
    room_seen=maybe,
    room_stale=st.booleans(),
    problem=st.none() | problems,
    wait=st.none() | waits,
    room_holder=st.sampled_from(["", "earlier"]),
    knows_livekit=st.booleans(),
)


def later(scene: Observed, moment: datetime) -> Observed:
    """What is observed when the decision's status was taken over and nothing else happened."""
    return replace(scene, status=decide(scene).status, now=max(scene.now, moment))


@given(observations)
def test_one_observation_always_gives_one_decision(scene: Observed) -> None:
    before = scene.status.model_copy(deep=True)

    assert decide(scene) == decide(scene)
    assert scene.status == before


@given(observations)
def test_deciding_twice_at_one_moment_changes_nothing_more(scene: Observed) -> None:
    first = decide(scene)
    second = decide(replace(scene, status=first.status))

    # An agent that was just found lost is not looked at again.
    noticed = len(first.status.lost) > len(scene.status.lost)
    if first.status.phase.finished == scene.status.phase.finished and not noticed:
        assert second.status == first.status
        assert second.actions == first.actions


@given(observations)
def test_a_session_never_has_two_pods(scene: Observed) -> None:
    started = [a for a in decide(scene).actions if isinstance(a, ClaimPod)]

    assert not started or scene.pod is None
    assert len(started) <= 1


@given(observations)
def test_nobody_claims_a_pod_without_a_place(scene: Observed) -> None:
    decision = decide(scene)

    assert not (scene.wait and any(isinstance(a, ClaimPod) for a in decision.actions))
    assert scene.wait or decision.status.queue is None or decision.status.phase.finished


@given(observations)
def test_a_new_pod_never_takes_the_name_of_an_earlier_one(scene: Observed) -> None:
    for action in decide(scene).actions:
        if isinstance(action, ClaimPod):
            assert action.generation > scene.status.generation


@given(observations)
def test_a_job_that_was_dispatched_is_never_assigned_again(scene: Observed) -> None:
    if scene.call and (scene.call.at.dispatched is not None or scene.call.over):
        assert Assign() not in decide(scene).actions


@given(observations)
def test_only_a_pod_that_is_there_is_spoken_to(scene: Observed) -> None:
    if scene.pod is None or scene.pod.finished:
        spoken = [
            action
            for action in decide(scene).actions
            if isinstance(action, Assign | EndJob) or (action == LookAtPod() and not scene.pod)
        ]
        assert not spoken


@given(observations, moments)
def test_what_is_finished_stays_finished(scene: Observed, moment: datetime) -> None:
    first = decide(scene).status
    if first.phase.finished:
        second = decide(later(scene, moment))
        assert second.status == first
        assert all(isinstance(a, DeletePod | DeleteSession) for a in second.actions)


@given(observations, moments)
def test_what_is_ending_never_begins_again(scene: Observed, moment: datetime) -> None:
    first = decide(scene).status
    if first.phase is Phase.ENDING:
        second = decide(later(scene, moment)).status
        assert second.phase in (Phase.ENDING, Phase.ENDED, Phase.FAILED)
        assert second.end_reason is first.end_reason
        assert second.times.ending == first.times.ending


@given(observations)
def test_a_finished_session_says_why_and_when(scene: Observed) -> None:
    status = decide(scene).status
    if status.phase.finished and not scene.status.phase.finished:
        assert status.end_reason is not None
        assert status.times.ended == scene.now
        assert status.pod_seconds is None or status.pod_seconds.since is None


@given(observations)
def test_a_session_is_woken_in_the_future_only(scene: Observed) -> None:
    wake = decide(scene).wake

    assert wake is None or wake > scene.now


@given(observations)
def test_no_call_is_ended_for_want_of_callers_by_an_old_look(scene: Observed) -> None:
    goes_on = scene.status.end_reason is None and not scene.status.phase.finished
    if goes_on and scene.room_stale and scene.knows_livekit and scene.problem is None:
        assert decide(scene).status.end_reason not in (
            Reason.CALLER_LEFT,
            Reason.CALLER_NEVER_CAME,
            Reason.AGENT_LOST,
        )


@given(observations)
def test_nobody_asks_a_livekit_that_is_not_known(scene: Observed) -> None:
    if not scene.knows_livekit:
        actions = decide(scene).actions
        assert LookAtRoom() not in actions
        assert not any(isinstance(a, ClaimPod) for a in actions)
