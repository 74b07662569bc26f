import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voicepod.api.durations import seconds
from voicepod.api.lifecycle import Lifecycle

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "value"),
    [("0s", 0), ("250ms", 0.25), ("90s", 90), ("1h30m", 5400), ("2h", 7200), ("1m1s500ms", 61.5)],
)
def test_a_duration_is_read_as_kubernetes_users_write_it(text: str, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_the_parts_of_a_duration_add_up(h: int, m: int, s: int, ms: int) -> None:
    assert seconds(f"{h}h{m}m{s}s{ms}ms") == pytest.approx(h * 3600 + m * 60 + s + ms / 1000)


@pytest.mark.parametrize("text", ["", "10", "1d", "-1s", "1.5s", "1 s", "s", "1s\n"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@pytest.mark.parametrize("text", ["ten seconds", "1" * 16 + "s"])
def test_a_lifecycle_of_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Lifecycle(start_deadline=text)


def test_a_session_that_sets_nothing_has_the_agents_durations() -> None:
    agents = Lifecycle(start_deadline="5m")

    assert agents.overridden_by(None) == agents
    assert agents.overridden_by(Lifecycle()) == agents


def test_a_session_sets_those_that_differ_and_no_others() -> None:
    agents = Lifecycle(start_deadline="5m", max_duration="3h")
    own = Lifecycle.model_validate({"maxDuration": "10m"})

    both = agents.overridden_by(own)

    assert (both.start_deadline, both.max_duration) == ("5m", "10m")
    assert agents.max_duration == "3h"


def test_a_session_may_set_a_duration_back_to_what_is_usual() -> None:
    usual = Lifecycle().reconnect_grace

    both = Lifecycle(reconnect_grace="1h").overridden_by(Lifecycle(reconnect_grace=usual))

    assert both.reconnect_grace == usual


def test_durations_are_asked_for_by_their_names() -> None:
    assert Lifecycle(shutdown_grace="1m").seconds("shutdown_grace") == 60
