"""Names of sessions follow from the room's name alone."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicepod.api.names import MAX_SESSION_NAME
from voicepod.gateway.sessions import session_name

pytestmark = pytest.mark.unit


def test_a_name_never_changes_or_a_repeat_would_make_a_second_session() -> None:
    assert session_name("hello-1") == "room-so6qp4dtac3ypd4rbvsl"


@given(st.text(), st.integers(1, 1000))
def test_a_name_is_a_dns_label_and_short_enough(room: str, attempt: int) -> None:
    name = session_name(room, attempt)
    assert re.fullmatch("[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= MAX_SESSION_NAME


@given(st.sets(st.tuples(st.text(), st.integers(1, 9)), min_size=2, max_size=2))
def test_two_rooms_or_attempts_have_two_names(two: set[tuple[str, int]]) -> None:
    assert len({session_name(room, attempt) for room, attempt in two}) == 2
