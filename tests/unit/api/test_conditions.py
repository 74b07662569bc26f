from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from voicepod.api.base import from_unix, rfc3339
from voicepod.api.conditions import (
    MAX_MESSAGE,
    ConditionType,
    Reason,
    condition,
    shorten,
    with_condition,
)

pytestmark = pytest.mark.unit

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(minutes=1)
READY = ConditionType.READY
DOCS = Path(__file__).parents[3] / "docs" / "sessions.md"


def test_a_condition_says_since_when_it_has_its_status() -> None:
    (first,) = with_condition([], READY, False, Reason.SECRET_NOT_FOUND, "make it", NOON)

    assert (first.status, first.reason, first.last_transition_time) == (
        "False",
        "SecretNotFound",
        NOON,
    )


def test_a_new_reason_does_not_move_the_time_of_the_status() -> None:
    first = with_condition([], READY, False, Reason.SECRET_NOT_FOUND, "make it", NOON)

    (second,) = with_condition(first, READY, False, Reason.LIVEKIT_UNREACHABLE, "start it", LATER)

    assert (second.reason, second.message) == ("LiveKitUnreachable", "start it")
    assert second.last_transition_time == NOON


def test_a_new_status_moves_its_time() -> None:
    first = with_condition([], READY, False, Reason.SECRET_NOT_FOUND, "make it", NOON)

    (second,) = with_condition(first, READY, True, Reason.READY, "all is well", LATER)

    assert (second.status, second.last_transition_time) == ("True", LATER)


def test_other_conditions_stay_as_they_are() -> None:
    both = with_condition([], READY, True, Reason.READY, "", NOON)
    both = with_condition(both, ConditionType.ACTIVE, False, Reason.CALLER_LEFT, "", NOON)

    both = with_condition(both, ConditionType.ACTIVE, True, Reason.IN_CALL, "", LATER)

    ready, active = condition(both, READY), condition(both, ConditionType.ACTIVE)
    assert ready is not None
    assert active is not None
    assert ready.last_transition_time == NOON
    assert active.status == "True"
    assert condition(both, ConditionType.POD_READY) is None


def test_what_to_do_about_each_reason_is_in_the_docs() -> None:
    well = {Reason.ACCEPTED, Reason.READY, Reason.IN_CALL, Reason.CALLER_AWAY}
    rows = [line.split("|")[1] for line in DOCS.read_text().splitlines() if line.startswith("|")]

    assert [reason for reason in Reason if reason not in well and reason not in str(rows)] == []


def test_a_message_keeps_its_end_where_errors_stand() -> None:
    short = shorten("  a sentence \n")
    long = shorten("x" * 5000 + "KeyError")

    assert short == "a sentence"
    assert len(long) == MAX_MESSAGE
    assert long.startswith("…")
    assert long.endswith("KeyError")


def test_moments_are_written_in_utc_with_milliseconds() -> None:
    berlin = timezone(timedelta(hours=1))

    assert rfc3339(datetime(2026, 1, 1, 13, 0, 0, 250_000, berlin)) == "2026-01-01T12:00:00.250Z"
    assert rfc3339(from_unix(NOON.timestamp())) == "2026-01-01T12:00:00.000Z"
