"""The wire format: what is written is read again, and what is wrong is named."""

from typing import Any

import pytest

from voicepod.assignment.errors import MessageError
from voicepod.assignment.messages import (
    Accepted,
    AgentInfo,
    Assignment,
    End,
    EndReason,
    JobInfo,
    Permissions,
    PodState,
    PodStatus,
    RoomRef,
    SessionRef,
    Timestamps,
    Tokens,
)

pytestmark = pytest.mark.unit

ASSIGNMENT = Assignment(
    session=SessionRef("voice", "demo", "uid-1"),
    generation=2,
    room=RoomRef("RM_1", "a room / ☎"),
    livekit_url="ws://livekit:7880",
    job_id="AJ_1",
    shutdown_grace=10.0,
    metadata="{}",
    checkpoint="so far",
)


def test_every_message_survives_the_way_to_the_other_side() -> None:
    status = PodStatus(
        state=PodState.ENDED,
        session=SessionRef("voice", "demo", "uid-1"),
        generation=2,
        agent=AgentInfo(True, "demo", "1.8.9"),
        job=JobInfo("AJ_1", "agent-1", "JS_SUCCESS"),
        at=Timestamps(registered=1.5, ended=2.5),
        end=End(EndReason.JOB_FINISHED, "done"),
        room_deletion_requested=True,
    )
    accepted = Accepted("agent-1", "Ann", "{}", {"a": "b"}, Permissions(hidden=True))
    assert Assignment.from_dict(ASSIGNMENT.to_dict()) == ASSIGNMENT
    assert Accepted.from_dict(accepted.to_dict()) == accepted
    assert PodStatus.from_dict(status.to_dict()) == status


def test_only_what_has_happened_stands_in_a_status() -> None:
    status = PodStatus(PodState.WARM, at=Timestamps(registered=1.5)).to_dict()
    assert status["at"] == {"registered": 1.5}
    assert "session" not in status
    assert "end" not in status


def test_fields_of_a_later_version_are_passed_over() -> None:
    data = ASSIGNMENT.to_dict()
    data["room"]["colour"] = "blue"
    assert Assignment.from_dict(data) == ASSIGNMENT


def test_whole_seconds_may_come_without_a_point() -> None:
    assert Assignment.from_dict(ASSIGNMENT.to_dict() | {"shutdown_grace": 5}).shutdown_grace == 5.0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"room": {"sid": "RM_1"}}, "Assignment.room.name is missing"),
        ({"generation": "2"}, "Assignment.generation: expected int, got str"),
        ({"generation": True}, "Assignment.generation: expected int, got bool"),
        ({"session": None}, "Assignment.session: expected dict, got NoneType"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        Assignment.from_dict(ASSIGNMENT.to_dict() | change)


def test_a_state_that_nobody_knows_is_named() -> None:
    with pytest.raises(MessageError, match=r"PodStatus\.state: 'asleep' is none of"):
        PodStatus.from_dict({"state": "asleep"})


def test_attributes_are_text() -> None:
    with pytest.raises(MessageError, match=r"Accepted\.attributes\.a: expected str, got int"):
        Accepted.from_dict({"identity": "agent-1", "attributes": {"a": 1}})


def test_tokens_do_not_show_in_logs() -> None:
    assert "secret" not in repr(Tokens("uid-1", 1, "secret-join", "secret-room"))
