"""Which calls a new leader leaves alone, and until when."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.reconcile.scenes import at, in_call, running
from voicepod.api.conditions import Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Loss
from voicepod.assignment.messages import JobInfo, PodState
from voicepod.reconcile.decide import decide
from voicepod.reconcile.glance import undisturbed_until

pytestmark = pytest.mark.unit

CALL = replace(running(), generation=1)
LIFECYCLE = Lifecycle(start_deadline="60s", max_duration="10m", shutdown_grace="30s")


def status(**changes: Any) -> Any:
    """A call whose agent joined three seconds after noon, and whose caller is there."""
    known = decide(in_call(5)).status
    return known.model_copy(update=changes)


def times(**changes: Any) -> dict[str, Any]:
    return {"times": status().times.model_copy(update=changes)}


def test_a_call_that_goes_on_is_left_alone_until_its_agent_must_say_goodbye() -> None:
    assert undisturbed_until(status(), CALL, LIFECYCLE) == at(3 + 600 - 30)


def test_a_call_whose_caller_has_not_come_is_left_alone_until_its_deadline() -> None:
    unmet = status(**times(caller=None))

    assert undisturbed_until(unmet, CALL, LIFECYCLE) == at(3 + 60)


@pytest.mark.parametrize(
    "news",
    [
        {"state": PodState.ENDED},
        {"state": PodState.LOST},
        {"state": PodState.ENDING},
        {"generation": 2},
        {"idle": True},
        {"stopping": True},
        {"room_deletion_requested": True},
        {"job": None},
        {"job": JobInfo("AJ_1", "somebody")},
    ],
)
def test_a_call_whose_sidecar_has_something_to_tell_needs_a_real_look(news: dict[str, Any]) -> None:
    assert undisturbed_until(status(), replace(CALL, **news), LIFECYCLE) is None


@pytest.mark.parametrize(
    "changes",
    [
        times(left=at(4)),
        times(joined=None),
        times(first_audio=None),
        {"joined": 0},
        {
            "lost": [
                Loss(generation=1, pod="call-0", at=at(1), reason=Reason.AGENT_CRASHED, message="")
            ]
        },
    ],
)
def test_a_call_that_waits_for_something_needs_a_real_look(changes: dict[str, Any]) -> None:
    assert undisturbed_until(status(**changes), CALL, LIFECYCLE) is None
