"""From the agent's join until somebody ends the call, or something does."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.reconcile.scenes import (
    CLOSED,
    alone,
    at,
    condition_of,
    fresh,
    in_call,
    pod,
    room,
    running,
    starting,
)
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Phase
from voicepod.assignment.messages import PodState
from voicepod.reconcile.actions import (
    CloseRoom,
    DeletePod,
    EndJob,
    EvictAgent,
    KeepCheckpoint,
    LookAtPod,
    LookAtRoom,
)
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Problem

pytestmark = pytest.mark.unit

CRASHED = Problem(Reason.AGENT_CRASHED, "the container 'agent' exited with code 137: OOMKilled")
GONE: list[tuple[dict[str, Any], str]] = [
    ({"pod": None, "call": None}, "the agent's pod is gone"),
    ({"pod": pod(finished=True, problem=CRASHED)}, CRASHED.message),
    ({"call": running(state=PodState.ENDED, end="the job failed")}, "the job failed"),
    ({"call": running(state=PodState.LOST, end="its websocket closed")}, "its websocket closed"),
]


def over(scene: Observed) -> tuple[Phase, Reason | None]:
    status = decide(scene).status
    return status.phase, status.end_reason


def test_a_call_goes_on_without_a_question_until_a_goodbye_before_its_longest() -> None:
    decision = decide(in_call())

    assert (decision.status.phase, decision.actions) == (Phase.ACTIVE, ())
    assert decision.wake == at(3 + 2 * 3600 - 10)


def test_the_goodbye_of_the_longest_call_is_over_with_it() -> None:
    told = decide(in_call(now=3 + 2 * 3600 - 10))
    assert told.status.end_reason is Reason.MAX_DURATION
    assert told.actions == (EndJob(Reason.MAX_DURATION),)

    goodbye = running(state=PodState.ENDING)
    over = in_call(now=3 + 2 * 3600, status=told.status, call=goodbye, call_seen=at(7200))
    assert decide(over).actions == (EvictAgent(),)
    tidied = decide(replace(over, status=decide(over).status))
    assert tidied.actions == (DeletePod(pod(ready=True)),)
    assert decide(over).status.phase is Phase.ENDED


def test_nobody_is_taken_to_be_silent_by_what_was_so_seconds_ago() -> None:
    old = decide(in_call(now=6, call=running(idle=True), call_seen=at(4)))

    assert (old.status.phase, old.actions) == (Phase.ACTIVE, (LookAtPod(),))


def test_the_agent_waits_for_a_caller_who_left_and_says_so() -> None:
    decision = decide(alone(now=11))

    assert (decision.status.phase, decision.status.reason) == (
        Phase.RECONNECTING,
        Reason.CALLER_AWAY,
    )
    assert decision.status.times.left == at(10)
    assert decision.wake == at(20)
    assert condition_of(decision.status, ConditionType.ACTIVE).status == "True"


def test_a_caller_who_comes_back_in_time_is_in_the_same_call() -> None:
    status = decide(alone(now=15, room=room("caller"), room_seen=at(15))).status

    assert (status.phase, status.reason) == (Phase.ACTIVE, Reason.IN_CALL)
    assert status.times.left is None
    assert status.times.caller == at(0)


def test_a_caller_who_stays_away_ends_the_call_after_one_more_look() -> None:
    unsure = decide(alone(now=20))
    sure = decide(alone(now=20, room_seen=at(20)))

    assert unsure.status.phase is Phase.RECONNECTING
    assert unsure.actions == (LookAtRoom(),)
    assert sure.status.end_reason is Reason.CALLER_LEFT
    assert EndJob(Reason.CALLER_LEFT) in sure.actions


def test_a_caller_who_came_back_without_a_webhook_is_found_by_the_last_look() -> None:
    assert over(alone(now=20, room=room("caller"), room_seen=at(20))) == (Phase.ACTIVE, None)


def test_a_second_caller_keeps_the_call_going() -> None:
    assert over(in_call(now=30, room=room("second"), room_seen=at(30))) == (Phase.ACTIVE, None)


def test_how_long_a_caller_is_waited_for_is_the_lifecycles() -> None:
    patient = Lifecycle(reconnect_grace="1h")

    assert over(alone(now=20, room_seen=at(20), lifecycle=patient)) == (Phase.RECONNECTING, None)


@pytest.mark.parametrize("now", [20, 9_000])
def test_nothing_is_decided_by_an_old_look_when_the_room_has_changed(now: float) -> None:
    # Long enough for every grace, and short of what does not hang on the room.
    lifecycle = Lifecycle(max_duration="24h")

    decision = decide(alone(now=now, room_seen=at(now), room_stale=True, lifecycle=lifecycle))

    assert decision.status.end_reason is None
    assert decision.actions == (LookAtRoom(),)


def test_a_caller_who_never_comes_is_waited_for_as_long_as_a_start_may_take() -> None:
    scene = starting(
        now=63,
        status=decide(starting(status=decide(fresh()).status, room=room())).status,
        pod=pod(ready=True),
        call=running(),
        call_seen=at(4),
        room=room(),
        room_seen=at(4),
    )

    unsure, sure = decide(scene), decide(replace(scene, room_seen=at(63)))

    assert decide(replace(scene, now=at(62))).status.phase is Phase.ACTIVE
    assert LookAtRoom() in unsure.actions
    assert unsure.status.end_reason is None
    assert sure.status.end_reason is Reason.CALLER_NEVER_CAME
    assert decide(replace(scene, room_seen=at(63), room_stale=True)).status.end_reason is None


@pytest.mark.parametrize("now_in_it", [CLOSED, room("caller", sid="RM_2")])
def test_a_closed_room_ends_the_call_even_if_another_one_has_its_name(now_in_it: object) -> None:
    assert over(in_call(room=now_in_it, room_seen=at(5)))[1] is Reason.ROOM_CLOSED


def test_callers_of_a_later_room_are_not_callers_of_this_call() -> None:
    status = decide(starting(room=room("caller", sid="RM_2"), status=fresh().status)).status

    assert status.times.caller is None


def test_a_room_that_the_agent_wants_closed_is_closed_once() -> None:
    asked = running(closes_room=True)

    first = decide(in_call(call=asked))
    second = decide(in_call(call=asked, status=first.status, room=CLOSED, room_seen=at(5)))

    assert first.status.end_reason is Reason.AGENT_CLOSED_ROOM
    assert first.actions == (CloseRoom(), EndJob(Reason.AGENT_CLOSED_ROOM))
    assert second.actions == (EndJob(Reason.AGENT_CLOSED_ROOM),)
    assert second.status.end_reason is Reason.AGENT_CLOSED_ROOM


@pytest.mark.parametrize(("lost", "words"), GONE)
def test_an_agent_that_is_gone_while_its_caller_is_there_is_lost_and_put_out(
    lost: dict[str, Any], words: str
) -> None:
    observed = in_call(**lost)
    decision = decide(observed)
    status = decision.status

    assert status.phase is Phase.STARTING
    assert words in status.message
    (loss,) = status.lost
    assert (loss.generation, loss.pod, loss.at) == (1, "call-1", at(5))
    assert words in loss.message
    pod = observed.pod
    gone = (KeepCheckpoint(pod), DeletePod(pod, at_once=True)) if pod else ()
    assert decision.actions == (EvictAgent(), *gone)
    assert status.times == decide(in_call()).status.times


@pytest.mark.parametrize(("lost", "words"), GONE)
def test_before_an_agent_is_called_lost_its_room_is_looked_at_once_more(
    lost: dict[str, Any], words: str
) -> None:
    doubtful = decide(in_call(**lost, room_stale=True))
    restarted = decide(in_call(**lost, room=None, room_seen=None))

    for decision in (doubtful, restarted):
        assert LookAtRoom() in decision.actions
        assert decision.status.phase is Phase.ACTIVE
        assert words not in decision.status.message


def test_an_agent_that_ended_because_its_caller_left_is_not_lost() -> None:
    ended = running(state=PodState.ENDED, end="the job finished")

    assert over(in_call(call=ended, room=room(), room_seen=at(5))) == (
        Phase.ENDED,
        Reason.CALLER_LEFT,
    )


def test_an_agent_that_ended_with_its_room_is_not_lost() -> None:
    ended = running(state=PodState.ENDED, end="the job finished")

    assert over(in_call(call=ended, room=CLOSED, room_seen=at(5)))[1] is Reason.ROOM_CLOSED


@pytest.mark.parametrize(("lost", "words"), GONE)
def test_a_lost_agent_is_seen_when_nobody_knows_its_livekit_any_more(
    lost: dict[str, Any], words: str
) -> None:
    status = decide(in_call(**lost, knows_livekit=False, room_stale=True)).status

    # Where its VoiceAgent is gone as well, nobody can take its call over.
    assert status.phase is Phase.FAILED
    assert words in status.message


def test_a_live_call_goes_on_when_its_voice_agent_is_deleted() -> None:
    problem = Problem(Reason.AGENT_NOT_FOUND, "there is no VoiceAgent desk")

    decision = decide(in_call(problem=problem, knows_livekit=False, room_stale=True))

    assert (decision.status.phase, decision.actions) == (Phase.ACTIVE, ())
    assert condition_of(decision.status, ConditionType.ACTIVE).status == "True"


def test_a_caller_who_left_before_the_voice_agent_was_deleted_ends_the_call() -> None:
    assert over(alone(now=20, knows_livekit=False, room_stale=True))[1] is Reason.CALLER_LEFT


def test_what_went_wrong_beside_a_live_call_does_not_touch_it() -> None:
    problem = Problem(Reason.LIVEKIT_UNREACHABLE, "LiveKit is not reachable")

    assert decide(in_call(problem=problem)).status == decide(in_call()).status


def test_a_restarted_operator_asks_pod_and_room_what_it_has_forgotten() -> None:
    decision = decide(in_call(call=None, call_seen=None, room=None, room_seen=None))

    assert decision.actions == (LookAtPod(), LookAtRoom())
    assert decision.status.phase is Phase.ACTIVE


def test_a_room_that_an_older_session_has_is_left_to_it() -> None:
    status = decide(fresh(room_holder="earlier")).status

    assert (status.phase, status.end_reason) == (Phase.ENDED, Reason.ROOM_TAKEN)
    assert "earlier" in status.message


def test_a_room_that_an_older_session_has_ends_even_a_call() -> None:
    assert over(in_call(room_holder="earlier")) == (Phase.ENDING, Reason.ROOM_TAKEN)
