"""A call whose agent is lost: who takes it over, how often, and what is kept of it."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from tests.unit.reconcile.scenes import (
    AGENT,
    at,
    call,
    in_call,
    pod,
    room,
    running,
    session,
    starting,
)
from voicepod.api.conditions import ConditionType, Reason, condition
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.assignment.messages import JobInfo, PodState
from voicepod.reconcile.actions import (
    Assign,
    ClaimPod,
    DeletePod,
    EvictAgent,
    KeepCheckpoint,
    LookAtRoom,
)
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Pod, Problem

pytestmark = pytest.mark.unit

OOM = Problem(Reason.AGENT_CRASHED, "the container 'agent' exited with code 137: OOMKilled")


def lost_at(now: float = 20, status: VoiceSessionStatus | None = None) -> VoiceSessionStatus:
    """A call whose pod was just found gone."""
    changes: dict[str, Any] = {"status": status} if status else {}
    return decide(in_call(now, pod=None, call=None, **changes)).status


def another(generation: int = 2, **changes: Any) -> Pod:
    values = {"key": ("voice", f"desk-{generation}"), "uid": f"uid-{generation}", "ready": True}
    return pod(**(values | {"generation": generation, "created": at(20)} | changes))


def left_alone(now: float, status: VoiceSessionStatus, **changes: Any) -> Observed:
    """The caller waits, and nobody has taken the call over yet."""
    return in_call(now, status=status, **({"pod": None, "call": None} | changes))


def test_the_first_replacement_is_claimed_at_once_as_the_next_generation() -> None:
    assert decide(left_alone(20, lost_at())).actions == (ClaimPod(2),)


def test_the_replacement_gets_the_job_and_the_call_goes_on_when_it_has_joined() -> None:
    status = lost_at()
    claimed = decide(left_alone(20, status, pod=another()))
    assert claimed.actions == (Assign(),)
    assert (claimed.status.phase, claimed.status.generation) == (Phase.STARTING, 2)

    told = call(PodState.RUNNING, assigned=20, dispatched=20.1, joined=20.4)
    joined = decide(left_alone(21, claimed.status, pod=another(), call=told, call_seen=at(21)))

    assert (joined.status.phase, joined.status.pod) == (Phase.ACTIVE, "desk-2")
    active = condition(joined.status.conditions, ConditionType.ACTIVE)
    assert active
    assert active.status == "True"


def test_the_ledger_tells_of_each_loss_when_the_next_audio_was_there() -> None:
    first = lost_at()
    crashed = another(2, finished=True, ready=False, problem=OOM)
    second = decide(left_alone(25, first, pod=crashed)).status
    told = call(PodState.RUNNING, assigned=27, dispatched=27, joined=27, first_audio=28)

    joined = decide(left_alone(29, second, pod=another(3), call=told, call_seen=at(29))).status

    assert [loss.taken_over for loss in second.lost] == [None, None]
    assert [loss.taken_over for loss in joined.lost] == [at(28), at(28)]


@pytest.mark.parametrize(
    ("changes", "words", "deletions"),
    [
        (
            {"call": replace(running(), stopping=True)},
            "the agent's pod is being stopped",
            (DeletePod(pod(ready=True)),),
        ),
        ({"pod": pod(ready=True, deleting=True)}, "somebody deleted the agent's pod", ()),
    ],
)
def test_an_agent_whose_pod_is_stopped_talks_on_until_another_one_joins(
    changes: dict[str, Any], words: str, deletions: tuple[DeletePod, ...]
) -> None:
    observed = in_call(20, **changes)
    decision = decide(observed)

    (loss,) = decision.status.lost
    assert (loss.reason, loss.message) == (Reason.AGENT_LOST, words)
    assert observed.pod
    assert decision.actions == (KeepCheckpoint(observed.pod), *deletions)


def test_an_agent_whose_pod_is_stopped_is_put_out_if_it_is_lost_itself() -> None:
    gone = running(state=PodState.LOST, end="it hangs")
    decision = decide(in_call(20, pod=pod(ready=True, deleting=True), call=gone))

    assert EvictAgent() in decision.actions


def test_an_agent_whose_pod_is_stopped_is_put_out_if_the_next_ones_join_may_not_do_it() -> None:
    named = replace(running(), job=JobInfo("AJ_1", "a name of its own"))
    decision = decide(in_call(20, pod=pod(ready=True, deleting=True), call=named))

    assert EvictAgent() in decision.actions


def test_an_agent_that_talks_on_is_put_out_when_its_call_ends_before_another_one_joins() -> None:
    stopping = decide(in_call(20, call=replace(running(), stopping=True)))

    over = decide(left_alone(21, stopping.status, session=session(end=True)))

    assert over.actions == (EvictAgent(),)
    assert over.status.phase is Phase.ENDED


def test_the_agent_in_the_room_keeps_its_name_in_the_ledger_until_another_one_may_join() -> None:
    accepted = replace(
        call(PodState.ACCEPTED, assigned=20), job=JobInfo("AJ_1", "a name of its own")
    )

    waiting = decide(left_alone(20.1, lost_at(), pod=another(), call=accepted, call_seen=at(20)))

    assert waiting.status.identity == AGENT


def test_an_agent_that_is_not_in_its_room_any_more_is_lost_unless_it_comes_back_soon() -> None:
    missed = partial(in_call, room=room("caller", agent=False), agent_missed=at(20))
    soon = decide(missed(21, room_seen=at(20)))
    assert (soon.status.lost, soon.actions, soon.wake) == ([], (), at(25))

    assert decide(missed(25, room_seen=at(20))).actions == (LookAtRoom(),)

    (loss,) = decide(missed(26, room_seen=at(26))).status.lost
    assert (loss.reason, loss.generation) == (Reason.AGENT_LOST, 1)


def test_an_agent_that_left_with_its_caller_is_not_missed() -> None:
    nobody = in_call(30, room=room(agent=False), agent_missed=at(20), room_seen=at(30))

    assert decide(nobody).status.lost == []


def test_the_ledger_keeps_the_times_of_the_calls_start() -> None:
    before, after = decide(in_call()).status.times, lost_at().times

    assert after == before


def test_what_is_left_of_a_lost_pod_is_deleted() -> None:
    zombie = pod(ready=True)
    decision = decide(left_alone(21, lost_at(), pod=another(), older=(zombie,)))

    assert DeletePod(zombie, at_once=True) in decision.actions


def test_replacements_that_are_lost_as_well_come_ever_later_and_in_the_end_not_at_all() -> None:
    status, now, pauses = lost_at(), 20.0, []
    for generation in (2, 3):
        crashed = another(generation, finished=True, ready=False, problem=OOM)
        status = decide(left_alone(now, status, pod=crashed)).status
        waiting = decide(left_alone(now, status))
        assert waiting.actions == ()
        assert waiting.wake
        pauses.append((waiting.wake - at(now)).total_seconds())
        now += pauses[-1]
        assert decide(left_alone(now, status)).actions == (ClaimPod(generation + 1),)

    crashed = another(4, finished=True, ready=False, problem=OOM)
    failed = decide(left_alone(now, status, pod=crashed)).status
    assert pauses == [1, 2]
    assert (failed.phase, failed.end_reason) == (Phase.FAILED, Reason.AGENT_CRASHED)
    assert "after 3 replacements (AgentLost, AgentCrashed, AgentCrashed)" in failed.message
    assert [loss.generation for loss in failed.lost] == [1, 2, 3]


def test_a_call_that_may_not_be_taken_over_fails_with_its_agent() -> None:
    once = Lifecycle(max_replacements=0)

    status = decide(in_call(20, pod=None, call=None, lifecycle=once)).status

    assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.AGENT_LOST)


def test_a_replacement_has_the_start_deadline_of_its_own() -> None:
    stuck = another(ready=False, created=at(30), problem=Problem(Reason.POD_STARTING, "starting"))

    assert decide(left_alone(89, lost_at(), pod=stuck)).status.end_reason is None
    failed = decide(left_alone(91, lost_at(), pod=stuck)).status
    assert failed.end_reason is Reason.POD_STARTING


def test_a_call_that_nobody_can_take_over_fails_by_the_start_deadline() -> None:
    none_left = Problem(Reason.POD_NOT_CREATED, "exceeded quota: pods=10")

    waiting = decide(left_alone(79, lost_at(), problem=none_left))
    assert waiting.actions == (ClaimPod(2),)
    failed = decide(left_alone(80, lost_at(), problem=none_left)).status
    assert (failed.phase, failed.end_reason) == (Phase.FAILED, Reason.POD_NOT_CREATED)


def test_an_operator_that_was_ended_in_between_gives_the_new_pod_its_job() -> None:
    # The status of the first agent is the last that was written.
    written = decide(in_call()).status

    decision = decide(left_alone(21, written, pod=another()))

    assert decision.actions == (Assign(),)
    assert decision.status.phase is Phase.STARTING


def test_a_call_is_taken_over_by_the_pod_that_says_it_has_joined() -> None:
    joined = left_alone(21, lost_at(), pod=another(), call=running(), call_seen=at(21))

    assert decide(joined).status.joined == 2


def test_a_session_that_starts_has_lost_nobody() -> None:
    assert decide(starting()).status.lost == []
