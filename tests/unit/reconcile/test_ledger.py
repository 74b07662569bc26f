"""What a session's pods are used for: every second of them in one use, and none in two."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.unit.reconcile.scenes import alone, at, fresh, in_call, pod, room, running, session
from voicepod.api.session import PodSeconds, VoiceSessionStatus
from voicepod.assignment.messages import PodState
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Pod

pytestmark = pytest.mark.unit

READY = pod(ready=True)
IN_ROOM = {"pod": READY, "call": running()}


def watched(*scenes: Observed) -> Iterator[VoiceSessionStatus]:
    """The status after each of the scenes, each of which goes on from the one before."""
    status = VoiceSessionStatus()
    for scene in scenes:
        status = decide(replace(scene, status=status)).status
        yield status


def spent(*scenes: Observed) -> PodSeconds:
    """The ledger after the last of the scenes."""
    *_, last = watched(*scenes)
    assert last.pod_seconds is not None
    return last.pod_seconds


def there(now: float, **changes: object) -> Observed:
    """The caller is in the room at ``now``, and the agent if it has one."""
    return fresh(now, **{"room": room("caller"), "room_seen": at(now)} | changes)


def away(now: float) -> Observed:
    return fresh(now, room=room(), room_seen=at(now), **IN_ROOM)


def over(now: float, last: Pod = READY) -> Observed:
    said_goodbye = running(state=PodState.ENDED, end="told to")
    return fresh(now, session=session(end=True), room=room(), pod=last, call=said_goodbye)


def test_a_call_is_split_into_talk_and_all_that_is_none() -> None:
    ledger = spent(
        there(0, pod=pod()),
        there(3, **IN_ROOM),
        away(63),
        there(67, **IN_ROOM),
        there(97, **IN_ROOM, session=session(end=True)),
        over(99),
    )

    # Sixty seconds and thirty of talk; the start, the caller's absence, and the goodbye.
    assert ledger == PodSeconds(warm=0, talking=90, waiting=3 + 4 + 2)


def test_what_a_pod_waited_for_the_call_is_the_calls_as_well() -> None:
    warm = pod(ready=True, created=at(-40), claimed=at(0))

    ledger = spent(there(0.01, pod=warm), there(0.5, pod=warm, call=running()), over(20.5, warm))

    assert ledger == PodSeconds(warm=40, talking=20, waiting=0.5)


def test_an_agent_that_is_there_before_its_caller_waits() -> None:
    scenes = there(0, pod=pod()), away(3), there(30, **IN_ROOM), over(40)

    assert spent(*scenes) == PodSeconds(talking=10, waiting=30)


def test_the_time_between_two_agents_is_nobodys_and_both_their_pods_count() -> None:
    second = pod(key=("voice", "call-2"), generation=2, ready=True, created=at(-5), claimed=at(24))

    ledger = spent(
        there(0, pod=pod()),
        there(3, **IN_ROOM),
        there(20, pod=None),
        there(24, pod=second),
        there(25, pod=second, call=running()),
        over(35, second),
    )

    assert ledger == PodSeconds(warm=29, talking=17 + 10, waiting=3 + 1)


def test_an_operator_that_takes_over_goes_on_with_what_is_written() -> None:
    status = decide(in_call(now=5)).status
    read = VoiceSessionStatus.model_validate(status.to_yaml())

    left = decide(alone(now=25, since=25, status=read)).status

    assert left.pod_seconds is not None
    assert left.pod_seconds.talking == 21


def test_the_ledger_changes_with_the_rest_of_the_status_only() -> None:
    seen = list(
        watched(
            there(0, pod=pod()),
            there(1, pod=pod()),
            there(3, **IN_ROOM),
            there(4, **IN_ROOM),
            away(63),
            away(64),
            there(67, **IN_ROOM),
            there(68, **IN_ROOM),
        )
    )

    for before, after in pairwise(seen):
        if before.pod_seconds != after.pod_seconds:
            assert before.model_copy(update={"pod_seconds": after.pod_seconds}) != after
