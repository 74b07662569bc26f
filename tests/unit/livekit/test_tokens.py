"""What the tokens of agents and sidecars open, and what they do not."""

from datetime import timedelta
from typing import Any

import jwt
import pytest

from voicepod.assignment.messages import Accepted
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.tokens import caller_token, fenced, join_token, room_token

pytestmark = pytest.mark.unit

CREDENTIALS = Credentials("ws://livekit", "key", "a-secret-of-at-least-32-characters")


def claims(token: str) -> dict[str, Any]:
    payload: dict[str, Any] = jwt.decode(token, CREDENTIALS.secret, algorithms=["HS256"])
    return payload


def test_an_agent_joins_its_own_room_as_an_agent_and_may_do_nothing_else() -> None:
    token = claims(
        join_token(
            CREDENTIALS, "a room", Accepted("agent-1", "Ada", "meta", {"lk.agent.name": "ada"})
        )
    )
    assert token["iss"] == "key"
    assert token["sub"] == "agent-1"
    assert token["name"] == "Ada"
    assert token["kind"] == "agent"
    assert token["metadata"] == "meta"
    assert token["attributes"] == {"lk.agent.name": "ada"}
    granted = {name: value for name, value in token["video"].items() if value is not False}
    assert granted == {
        "roomJoin": True,
        "room": "a room",
        "agent": True,
        "canUpdateOwnMetadata": True,
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }


def test_a_join_token_is_of_no_use_a_few_minutes_later() -> None:
    token = claims(join_token(CREDENTIALS, "a room", Accepted("agent-1")))
    assert token["exp"] - token["nbf"] <= 300


def test_agents_of_all_calls_in_a_room_join_it_as_the_same() -> None:
    first = fenced(Accepted("agent-AJ_1", "Ada"), "AJ_1", "a room")
    later = fenced(Accepted("agent-AJ_2", "Ada"), "AJ_2", "a room")
    elsewhere = fenced(Accepted("agent-AJ_1", "Ada"), "AJ_1", "another")
    assert first == later
    assert (first.identity.startswith("agent-"), first.name) == (True, "Ada")
    assert first.identity != elsewhere.identity


def test_an_agent_that_names_itself_keeps_its_name() -> None:
    assert fenced(Accepted("ada"), "AJ_1", "a room") == Accepted("ada")


def test_a_caller_joins_one_room_as_livekit_lets_anybody_do_by_default() -> None:
    token = claims(caller_token(CREDENTIALS, "a room", "bob", "Bob", "meta", {"plan": "gold"}))
    assert (token["iss"], token["sub"], token["name"]) == ("key", "bob", "Bob")
    assert (token["metadata"], token["attributes"]) == ("meta", {"plan": "gold"})
    assert token.get("kind", "standard") == "standard"
    assert token["video"] == {
        "roomJoin": True,
        "room": "a room",
        "canPublish": True,
        "canSubscribe": True,
        "canPublishData": True,
    }


def test_a_caller_s_token_asks_for_no_agent_or_livekit_would_bring_a_second_one() -> None:
    token = claims(caller_token(CREDENTIALS, "a room", "bob"))
    assert not {"roomConfig", "roomPreset"} & set(token)


def test_a_caller_s_token_outlives_the_minute_for_which_sdks_stop_keeping_one() -> None:
    token = claims(caller_token(CREDENTIALS, "a room", "bob"))
    assert 60 < token["exp"] - token["nbf"] <= 3600


def test_a_sidecar_administers_its_own_room_for_as_long_as_the_call_may_last() -> None:
    token = claims(room_token(CREDENTIALS, "a room", timedelta(hours=4)))
    granted = {name: value for name, value in token["video"].items() if value is not False}
    assert granted["room"] == "a room"
    assert granted["roomAdmin"] is True
    assert not {"roomCreate", "roomList", "roomJoin"} & set(granted)
    assert token["exp"] - token["nbf"] == 4 * 3600


def test_a_secret_does_not_show_where_credentials_are_printed() -> None:
    assert CREDENTIALS.secret not in repr(CREDENTIALS)
