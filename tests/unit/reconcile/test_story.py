import pytest

from tests.unit.reconcile.scenes import (
    CLOSED,
    alone,
    ending,
    fresh,
    in_call,
    pod,
    running,
    starting,
)
from voicepod.api.conditions import Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import VoiceSessionStatus
from voicepod.assignment.messages import PodState
from voicepod.kube.events import Note
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Problem
from voicepod.reconcile.story import notes_between

pytestmark = pytest.mark.unit


def told(before: Observed, after: Observed) -> list[tuple[str, bool]]:
    notes = notes_between(decide(before).status, decide(after).status)
    return [(note.reason, note.warning) for note in notes]


def test_nothing_is_told_where_nothing_has_changed() -> None:
    for scene in (fresh(), starting(), in_call(), alone(), ending()):
        assert told(scene, scene) == []


def test_a_pod_that_starts_is_told_by_its_name() -> None:
    (note,) = notes_between(VoiceSessionStatus(), decide(starting()).status)

    assert note == Note("PodStarted", "pod call-1 starts for the call")


def test_an_agent_that_joins_as_it_should_is_no_event() -> None:
    assert told(fresh(), in_call()) == []
    assert told(starting(), in_call()) == []


def test_a_caller_who_leaves_and_comes_back_is_told() -> None:
    assert told(in_call(), alone()) == [("CallerAway", False)]
    assert told(alone(), in_call()) == [("CallerBack", False)]


def test_an_end_is_told_by_its_reason() -> None:
    over = ending(now=21, call=running(state=PodState.ENDED, end="told to"))

    assert told(ending(), over) == [("Requested", False)]


def test_a_call_that_its_caller_ends_is_told_by_its_status_alone() -> None:
    assert told(in_call(), in_call(room=CLOSED, call=running(state=PodState.ENDED))) == []


def test_the_end_tells_the_whole_call() -> None:
    over = ending(now=63, call=running(state=PodState.ENDED, end="told to"))

    (note,) = notes_between(decide(ending()).status, decide(over).status)

    assert note.message == (
        "spec.end was set; pod call-1 on node node-1; the agent was in the room 3.0 s after the "
        "session was made; and stayed 60 s"
    )


def test_an_agent_that_is_lost_is_a_warning_and_who_takes_over_is_told() -> None:
    lost = in_call(now=30, pod=None, call=None)
    after = decide(lost).status
    taken = pod(key=("voice", "desk-9"), generation=2, ready=True)
    over = in_call(now=31, status=after, pod=taken)

    assert told(in_call(), lost) == [("AgentLost", True)]
    assert notes_between(after, decide(over).status) == [
        Note("CallTakenOver", "the agent of pod desk-9 has taken the call over")
    ]


def test_a_failure_is_a_warning() -> None:
    lost = in_call(now=30, pod=None, call=None, lifecycle=Lifecycle(max_replacements=0))

    assert told(in_call(), lost) == [("AgentLost", True)]


def test_what_has_to_be_mended_is_a_warning_in_its_own_words_told_once() -> None:
    problem = Problem(Reason.SECRET_NOT_FOUND, "Secret voice/keys does not exist")
    broken = decide(fresh(problem=problem)).status
    still = decide(fresh(now=30, status=broken, problem=problem)).status

    assert notes_between(VoiceSessionStatus(), broken) == [
        Note("SecretNotFound", "Secret voice/keys does not exist", warning=True)
    ]
    assert notes_between(broken, still) == []


def test_another_trouble_is_another_warning() -> None:
    first = fresh(problem=Problem(Reason.SECRET_NOT_FOUND, "no Secret"))
    second = fresh(problem=Problem(Reason.LIVEKIT_UNREACHABLE, "no LiveKit"))

    assert told(first, second) == [("LiveKitUnreachable", True)]


def test_a_pod_that_cannot_start_is_a_warning() -> None:
    pulling = starting(pod=pod(problem=Problem(Reason.IMAGE_PULL_FAILED, "no such image")))

    assert told(starting(), pulling) == [("ImagePullFailed", True)]


def test_an_agent_that_is_about_to_register_is_nothing_to_warn_of() -> None:
    runs = starting(pod=pod(problem=Problem(Reason.AGENT_NOT_REGISTERED, "not yet")))

    assert told(starting(), runs) == []
