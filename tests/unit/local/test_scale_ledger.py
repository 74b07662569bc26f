"""What counts as a session that went well."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from local.scale.callers import Caller
from local.scale.ledger import STEPS, judge

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def _caller() -> Caller:
    return Caller("r5-0000", 9.99, 10, NOON.timestamp(), 10.02, uid="s0")


def _ledger() -> dict[str, Any]:
    told = {"at": 10.03, "session": "s0", "generation": 1, "taken": True}
    return {
        "pods": {"p0": {"name": "hello-abcde", "owners": ["r5-0000"], "told": [told]}},
        "sessions": {
            "s0": {
                "status": {
                    "phase": "Ended",
                    "endReason": "RoomClosed",
                    "times": dict.fromkeys(STEPS, "2026-01-01T12:00:00.250Z"),
                },
                "gone": 17.0,
            }
        },
    }


def test_a_session_that_went_well_has_its_times() -> None:
    verdict = judge([_caller()], _ledger())
    assert verdict.failures == []
    assert verdict.assigned == [pytest.approx(0.03)]
    assert verdict.late == pytest.approx(0.01)
    assert verdict.steps["joined"] == [pytest.approx(0.25)]
    assert verdict.cold == 0


def test_a_pod_of_its_own_is_a_cold_start() -> None:
    ledger = _ledger()
    ledger["pods"]["p0"]["name"] = "r5-0000-1"
    assert judge([_caller()], ledger).cold == 1


def test_a_session_that_two_pods_were_told_of_has_failed() -> None:
    ledger = _ledger()
    ledger["pods"]["p1"] = {**deepcopy(ledger["pods"]["p0"]), "name": "hello-fghij"}
    assert judge([_caller()], ledger).failures == ["r5-0000: it was given to 2 pods"]


def test_a_pod_that_two_sessions_were_given_is_a_failure() -> None:
    claimed_twice, told_twice = _ledger(), _ledger()
    claimed_twice["pods"]["p0"]["owners"].append("r5-0001")
    told_twice["pods"]["p0"]["told"][0]["taken"] = False
    for ledger in (claimed_twice, told_twice):
        assert "more than one session" in judge([_caller()], ledger).failures[0]


def test_a_session_that_failed_or_stayed_or_was_never_made_is_a_failure() -> None:
    failed, stayed = _ledger(), _ledger()
    failed["sessions"]["s0"]["status"] |= {"phase": "Failed", "message": "no agent came"}
    stayed["sessions"]["s0"]["gone"] = None
    refused = Caller("r5-0001", due=1, error="the API server says no")
    assert judge([_caller()], failed).failures == ["r5-0000: it was Failed: no agent came"]
    assert judge([_caller()], stayed).failures == ["r5-0000: it was not deleted"]
    assert judge([refused], _ledger()).failures == ["r5-0001: the API server says no"]
