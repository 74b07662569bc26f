"""Which VoiceAgent and which room a caller gets, and what is said to one who gets none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.test_matching import agent
from voicepod.gateway.matching import choose
from voicepod.gateway.placing import NoPlaceError, place

pytestmark = pytest.mark.unit

HELLO = agent("hello", {"prefix": "hello-"})
LOBBY = agent("lobby", {"name": "lobby"})
ADA = agent("ada", {"agentName": "ada-1"})
ANY = agent("any", {"regex": ".*"})


def placed(*agents: object, room: str = "", agent_name: str = "") -> tuple[str, str]:
    found = place(agents, room, agent_name, "x7")  # type: ignore[arg-type]
    return found.choice.agent.key[1], found.room


def refusal(*agents: object, room: str = "", agent_name: str = "") -> str:
    with pytest.raises(NoPlaceError) as refused:
        placed(*agents, room=room, agent_name=agent_name)
    return str(refused.value)


def test_a_room_s_name_finds_its_voice_agent_as_with_a_webhook() -> None:
    assert placed(HELLO, LOBBY, room="lobby") == ("lobby", "lobby")
    assert placed(ANY, HELLO, room="hello-1") == ("hello", "hello-1")


def test_an_agent_s_name_comes_before_the_room_s() -> None:
    assert placed(HELLO, ADA, room="hello-1", agent_name="ada-1") == ("ada", "hello-1")


def test_an_agent_s_name_alone_gets_a_room_of_a_new_name() -> None:
    assert placed(HELLO, ADA, agent_name="ada-1") == ("ada", "room-x7")


def test_one_voice_agent_that_may_be_meant_gets_a_room_that_it_wants() -> None:
    assert placed(HELLO, LOBBY, ADA) == ("hello", "hello-x7")
    assert placed(ANY, LOBBY) == ("any", "room-x7")


def test_a_room_of_one_name_is_never_shared_by_callers_who_did_not_ask_for_it() -> None:
    assert refusal(LOBBY).startswith("room_name: give one")


def test_of_several_voice_agents_none_is_guessed() -> None:
    assert "more than one VoiceAgent" in refusal(HELLO, ANY)
    assert "agent_name" in refusal(HELLO, ANY)


def test_a_prefix_that_leaves_no_space_is_not_used() -> None:
    assert refusal(agent("long", {"prefix": "x" * 256})).startswith("room_name: give one")


def test_a_room_that_nobody_wants_is_said_to_be() -> None:
    assert refusal(HELLO, ADA, room="elsewhere").startswith("room_name: no VoiceAgent")
    assert refusal(room="lobby").startswith("room_name: no VoiceAgent")


def test_an_agent_that_nobody_knows_is_not_replaced_by_another() -> None:
    message = refusal(HELLO, ANY, room="hello-1", agent_name="eve")
    assert message.startswith("room_config.agents[0].agent_name: no VoiceAgent")


PREFIXES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), max_size=4)


@given(PREFIXES, PREFIXES, st.booleans())
def test_a_room_that_is_drawn_is_the_one_that_a_webhook_finds(
    ours: list[str], theirs: list[str], with_any: bool
) -> None:
    agents = [
        agent("ours", *({"prefix": prefix} for prefix in ours)),
        agent("theirs", *({"prefix": prefix} for prefix in theirs)),
        *([ANY] if with_any else []),
    ]
    try:
        found = place(agents, "", "", "x7")
    except NoPlaceError:
        return
    again = choose(agents, found.room, ())
    assert again is not None
    assert again.agent is found.choice.agent
