"""When an agent that is still there counts as gone, by the beats of the runtime in its process."""

import itertools

import pytest

from tests.unit.sidecar.test_state import assignment
from voicepod.assignment.messages import Accepted, PodState, Speech, Tokens
from voicepod.sidecar.health import TICK, Beat
from voicepod.sidecar.state import Pod

pytestmark = pytest.mark.unit

WELL = Beat(Speech("listening"))


def running(idle_timeout: float = 0.0) -> Pod:
    pod = Pod(itertools.count(1.0).__next__)
    pod.register("demo", "1.8.9")
    pod.assign(assignment("a", 1, idle_timeout=idle_timeout))
    pod.accept(Accepted("agent-1"))
    pod.dispatch(Tokens("a", 1, "join", "room"), "agent-1")
    return pod


@pytest.fixture
def pod() -> Pod:
    return running()


def passes(pod: Pod, seconds: float) -> None:
    for _ in range(int(seconds / TICK)):
        pod.tick()


def end_of(pod: Pod) -> tuple[PodState, str]:
    told = pod.status()
    return told.state, told.end.reason if told.end else ""


def test_an_agent_that_never_beats_is_never_judged(pod: Pod) -> None:
    passes(pod, 3600)
    assert end_of(pod) == ("running", "")


def test_an_agent_that_beats_is_well(pod: Pod) -> None:
    for _ in range(100):
        pod.beat(WELL)
        passes(pod, 1)
    assert end_of(pod) == ("running", "")


def test_a_beat_that_is_seconds_late_is_none_too_many(pod: Pod) -> None:
    for _ in range(10):
        pod.beat(WELL)
        passes(pod, 4.5)
    assert end_of(pod) == ("running", "")


def test_an_agent_whose_beats_stop_hangs(pod: Pod) -> None:
    pod.beat(WELL)
    passes(pod, 4.5)
    assert end_of(pod) == ("running", "")
    passes(pod, 0.5)
    assert end_of(pod) == ("lost", "AgentHung")


def test_an_agent_that_starts_may_load_its_models(pod: Pod) -> None:
    pod.beat(Beat(Speech("initializing")))
    passes(pod, 19.5)
    assert end_of(pod) == ("running", "")
    passes(pod, 0.5)
    assert end_of(pod) == ("lost", "AgentHung")


def test_a_session_that_has_closed_beats_no_more(pod: Pod) -> None:
    pod.beat(Beat(Speech("listening"), last=True))
    passes(pod, 3600)
    assert end_of(pod) == ("running", "")


def test_a_session_that_has_closed_by_an_error_is_silent_for_good(pod: Pod) -> None:
    pod.beat(Beat(Speech("listening"), last=True, error="llm_error of openai.LLM"))
    told = pod.status()
    assert told.end
    assert end_of(pod) == ("lost", "AgentSilent")
    assert told.end.message == "the agent's session has closed: llm_error of openai.LLM"


@pytest.mark.parametrize(("waited", "state"), [(19.9, "running"), (20.0, "lost")])
def test_a_caller_waits_for_a_while_and_no_longer(pod: Pod, waited: float, state: str) -> None:
    pod.beat(Beat(Speech("thinking"), waited=waited))
    assert pod.state == state


@pytest.mark.parametrize(
    ("idle_timeout", "quiet", "idle"),
    [(60.0, 59.9, False), (60.0, 60.0, True), (0.0, 3600.0, False)],
)
def test_a_call_is_idle_when_nobody_has_spoken_for_as_long_as_it_allows(
    idle_timeout: float, quiet: float, idle: bool
) -> None:
    pod = running(idle_timeout)
    assert not pod.status().idle
    pod.beat(Beat(Speech("listening"), quiet=quiet))
    assert pod.status().idle == idle
    assert pod.state == "running"


def test_a_call_in_which_somebody_speaks_again_is_idle_no_more() -> None:
    pod = running(idle_timeout=60.0)
    pod.beat(Beat(Speech("listening"), quiet=61.0))
    pod.beat(Beat(Speech("speaking")))
    assert not pod.status().idle


def test_an_agent_that_says_goodbye_is_not_idle() -> None:
    pod = running(idle_timeout=60.0)
    pod.beat(Beat(Speech("listening"), quiet=61.0))
    pod.end("IdleTimeout")
    assert not pod.status().idle


def test_an_agent_that_is_saying_goodbye_is_not_judged(pod: Pod) -> None:
    pod.beat(WELL)
    pod.end("CallerLeft")
    passes(pod, 3600)
    assert pod.state == "ending"


def test_a_late_beat_brings_nobody_back(pod: Pod) -> None:
    pod.beat(WELL)
    passes(pod, 5)
    before = pod.status()
    pod.beat(WELL)
    assert pod.status() == before


def test_the_newest_checkpoint_counts(pod: Pod) -> None:
    assert pod.keep("one")
    assert pod.keep("two")
    assert pod.checkpoint == "two"


def test_an_agent_that_has_said_nothing_yet_leaves_what_it_was_given() -> None:
    pod = Pod(itertools.count(1.0).__next__)
    assert pod.checkpoint is None
    pod.register("demo", "1.8.9")
    pod.assign(assignment("a", 2, checkpoint="so far"))
    assert pod.checkpoint == "so far"


def test_a_checkpoint_outlives_its_agent_but_none_comes_after_it(pod: Pod) -> None:
    pod.keep("so far")
    pod.disconnect()
    assert not pod.keep("from beyond")
    assert pod.checkpoint == "so far"
