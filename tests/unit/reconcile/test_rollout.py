"""A changed template: tried by a share, then for all or taken back."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reconcile.scenes import at
from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.rollout import RolloutState, RolloutStatus, Tally
from voicepod.reconcile.rollout import Step, advance, has_canary, is_worse, stable_of

pytestmark = pytest.mark.unit


def template(image: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "agent", "image": image}]}}


def spec(image: str, canary: int = 10) -> VoiceAgentSpec:
    return VoiceAgentSpec.model_validate(
        {
            "livekit": {"url": "wss://livekit", "credentialsSecretRef": {"name": "keys"}},
            "template": template(image),
            "rollout": {"canary": canary, "canaryFor": "10m"},
        }
    )


def stable() -> RolloutStatus:
    status = advance(spec("old"), None, at(0)).status
    assert status
    return status


def trying(tried: Tally | None = None, others: Tally | None = None) -> RolloutStatus:
    status = advance(spec("new"), stable(), at(10)).status
    assert status
    return status.model_copy(
        update={"canary_sessions": tried or Tally(), "stable_sessions": others or Tally()}
    )


def after(status: RolloutStatus, seconds: float = 20, image: str = "new") -> Step:
    return advance(spec(image), status, at(seconds))


def state_of(step: Step) -> RolloutState:
    assert step.status
    return step.status.state


def test_without_a_canary_there_is_no_rollout_and_the_template_is_the_only_one() -> None:
    assert advance(spec("new", canary=0), stable(), at(10)) == Step(None)
    assert not has_canary(spec("new", canary=0), stable())
    assert stable_of(spec("new", canary=0), stable()) == template("new")


def test_the_first_template_is_stable_at_once() -> None:
    assert (stable().state, stable().stable) == (RolloutState.STABLE, template("old"))
    assert not has_canary(spec("old"), stable())
    assert after(stable(), image="old") == Step(stable())


def test_a_changed_template_is_tried_while_the_one_before_stays() -> None:
    step = advance(spec("new"), stable(), at(10))

    assert state_of(step) is RolloutState.CANARY
    assert step.note
    assert step.note.reason == "CanaryStarted"
    assert has_canary(spec("new"), step.status)
    assert stable_of(spec("new"), step.status) == template("old")
    assert after(trying()) == Step(trying())


def test_a_canary_that_fails_more_than_the_others_is_taken_back() -> None:
    step = after(trying(Tally(ended=4, failed=3), Tally(ended=50, failed=1)))

    assert state_of(step) is RolloutState.TAKEN_BACK
    assert step.note
    assert step.note.warning
    assert "3 of its 4 sessions failed" in step.note.message
    assert not has_canary(spec("new"), step.status)
    assert stable_of(spec("new"), step.status) == template("old")
    assert step.status
    assert after(step.status) == Step(step.status)


def test_a_canary_is_not_blamed_for_what_befalls_all() -> None:
    step = after(trying(Tally(ended=10, failed=5), Tally(ended=100, failed=50)))

    assert state_of(step) is RolloutState.CANARY


def test_a_canary_is_for_all_when_its_time_is_over_and_its_sessions_were_good() -> None:
    proven = trying(Tally(ended=5), Tally(ended=50))

    assert state_of(after(proven, seconds=609)) is RolloutState.CANARY
    step = after(proven, seconds=611)
    assert step.status == RolloutStatus(stable=template("new"), since=at(611))
    assert step.note
    assert step.note.reason == "CanaryProved"


def test_a_canary_that_hardly_anybody_has_tried_goes_on() -> None:
    assert state_of(after(trying(Tally(ended=4)), seconds=10_000)) is RolloutState.CANARY


def test_a_template_that_was_taken_back_is_tried_again_when_it_is_changed() -> None:
    back = after(trying(Tally(ended=4, failed=4))).status
    assert back

    assert state_of(after(back, image="newer")) is RolloutState.CANARY
    assert state_of(after(back, image="old")) is RolloutState.STABLE


def test_a_template_that_changes_while_it_is_tried_begins_anew() -> None:
    step = after(trying(Tally(ended=9, failed=1)), image="newer")

    assert step.status
    assert (step.status.canary_sessions, step.status.stable) == (Tally(), template("old"))


def test_a_null_in_a_template_is_nothing() -> None:
    nulls = spec("old")
    nulls.template["spec"]["containers"][0]["lifecycle"] = None

    assert advance(nulls, stable(), at(10)) == Step(stable())


tallies = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(
    lambda drawn: Tally(ended=max(drawn), failed=min(drawn))
)


@given(tallies, tallies)
def test_a_canary_that_fails_no_more_often_than_the_others_is_never_worse(
    canary: Tally, others: Tally
) -> None:
    if canary.failed * max(others.ended, 1) <= others.failed * canary.ended:
        assert not is_worse(canary, others)


@given(tallies, st.integers(2, 60))
def test_a_canary_of_which_all_fail_beside_one_of_which_few_do_is_worse(
    others: Tally, ended: int
) -> None:
    if others.failed * 20 <= others.ended:
        assert is_worse(Tally(ended=ended, failed=ended), others)
