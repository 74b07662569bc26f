"""What a request for a token may hold, and what is said of one that may not be."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicepod.gateway.token_request import TokenRequest, parse_request

pytestmark = pytest.mark.unit

LONG = 64_000


def parsed(**fields: Any) -> TokenRequest:
    return parse_request(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"{}", b'{"of_tomorrow": 1}'])
def test_a_request_may_ask_for_nothing_in_particular(body: bytes) -> None:
    assert parse_request(body) == TokenRequest()
    assert parse_request(body).agent.agent_name is None


def test_a_request_of_an_sdk_is_understood() -> None:
    # As TokenSource.endpoint of livekit-client sends it.
    request = parsed(
        room_name="lobby",
        participant_identity="bob",
        participant_attributes={"plan": "gold"},
        room_config={"agents": [{"agent_name": "ada", "metadata": "vip", "deployment": "blue"}]},
    )
    assert request.room_name == "lobby"
    assert request.participant_attributes == {"plan": "gold"}
    assert (request.agent.agent_name, request.agent.metadata) == ("ada", "vip")


def test_what_an_sdk_sends_for_nothing_is_nothing() -> None:
    request = parsed(
        room_name=None,
        participant_attributes=None,
        room_config={"agents": None, "empty_timeout": 0, "metadata": "", "egress": None},
    )
    assert request.agent.agent_name is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"room_name": 7}, "room_name: Input should be a valid string"),
        ({"room_name": "x" * 257}, "room_name: must have at most 256 bytes"),
        ({"room_name": "🎉" * 65}, "room_name: must have at most 256 bytes"),
        ({"participant_identity": "x" * 257}, "participant_identity: must have at most 256 bytes"),
        ({"participant_name": "x" * 257}, "participant_name: must have at most 256 bytes"),
        (
            {"participant_metadata": "x" * (LONG + 1)},
            "participant_metadata: must have at most 64000 bytes",
        ),
        (
            {"participant_attributes": {"k": "x" * LONG}},
            "participant_attributes: must have at most 64000 bytes, keys and values together",
        ),
        (
            {"participant_attributes": {"k": 1}},
            "participant_attributes.k: Input should be a valid string",
        ),
        (
            {"room_config": {"agents": [{"metadata": "x" * (LONG + 1)}]}},
            "room_config.agents.0.metadata: must have at most 64000 bytes",
        ),
        (
            {"room_config": {"agents": [{}, {}]}},
            "room_config.agents: List should have at most 1 item",
        ),
        (
            {"room_config": {"max_participants": 2, "agents": []}},
            "room_config: can hold agents only; take out max_participants",
        ),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}"):
        parsed(**fields)


@pytest.mark.parametrize(
    "body", [b"not JSON", b"[]", b'"room"', b"\xff", b'{"room_name": "\\ud800"}']
)
def test_a_body_that_is_no_request_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="the body: "):
        parse_request(body)


def test_what_is_as_long_as_it_may_be_is_taken() -> None:
    request = parsed(
        room_name="x" * 256,
        participant_metadata="x" * LONG,
        participant_attributes={"k": "x" * (LONG - 1)},
    )
    assert len(request.participant_metadata or "") == LONG


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(TokenRequest.model_fields)), JSON))
def test_whatever_is_sent_is_either_a_request_or_a_sentence(fields: dict[str, Any]) -> None:
    with suppress(ValueError):
        assert len((parsed(**fields).room_name or "").encode()) <= 256


def test_a_request_takes_over_what_another_one_sets_and_nothing_else() -> None:
    asked = TokenRequest(room_name="lobby", participant_identity="bob", participant_name="Bob")
    fixed = TokenRequest(participant_identity="user-7", participant_name=None)
    assert asked.overridden_by(fixed) == TokenRequest(
        room_name="lobby", participant_identity="user-7", participant_name=None
    )
