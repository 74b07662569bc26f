"""Whose a room is: the most specific rule, then the older VoiceAgent."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicepod.api.agent import LiveKit, RoomRule, SecretRef
from voicepod.gateway.matching import choose
from voicepod.gateway.objects import Agent
from voicepod.gateway.rules import Claim, Kind, Rules

pytestmark = pytest.mark.unit

LIVEKIT = LiveKit(url="ws://livekit", credentials_secret_ref=SecretRef(name="keys"))
START = datetime(2026, 1, 1, tzinfo=UTC)


def agent(name: str, *rules: dict[str, str], age: float = 0, namespace: str = "voice") -> Agent:
    return Agent(
        key=(namespace, name),
        uid=name,
        generation=1,
        created=START - timedelta(seconds=age),
        livekit=LIVEKIT,
        rules=Rules(RoomRule.model_validate(rule) for rule in rules),
    )


def winner(room: str, *agents: Agent, dispatched: tuple[str, ...] = ()) -> str | None:
    choice = choose(agents, room, dispatched)
    return choice.agent.key[1] if choice else None


@pytest.mark.parametrize(
    ("rule", "room", "wanted"),
    [
        ({"name": "lobby"}, "lobby", True),
        ({"name": "lobby"}, "Lobby", False),
        ({"name": "lobby"}, "lobby 2", False),
        ({"prefix": "call-"}, "call-", True),
        ({"prefix": "call-"}, "call-42", True),
        ({"prefix": "call-"}, "a call-42", False),
        ({"regex": "call-[0-9]+"}, "call-42", True),
        ({"regex": "call-[0-9]+"}, "call-42b", False),
        ({"regex": "call-[0-9]+"}, "a call-42", False),
        ({"regex": "^call|lobby$"}, "lobby", True),
        ({"regex": "日本.🎉"}, "日本語🎉", True),
        ({"regex": r"\p{Han}+"}, "日本語", True),
        ({"regex": "(?i)lobby"}, "LOBBY", True),
        ({"agentName": "lobby"}, "lobby", False),
        ({}, "lobby", False),
    ],
)
def test_a_rule_wants_the_rooms_it_says(rule: dict[str, str], room: str, wanted: bool) -> None:
    assert winner(room, agent("ada", rule)) == ("ada" if wanted else None)


def test_a_regex_that_is_hard_for_others_is_linear() -> None:
    assert winner("a" * 256, agent("ada", {"regex": "(a*)*(a*)*(a*)*b"})) is None


def test_a_rule_that_is_no_regex_wants_nothing_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ada = agent("ada", {"regex": "("}, {"name": "lobby"})
    assert winner("lobby", ada) == "ada"
    assert winner("(", ada) is None
    assert "not a valid RE2 expression" in caplog.text


BY_SPECIFICITY = [
    agent("dispatched", {"agentName": "ada"}),
    agent("named", {"name": "lobby"}),
    agent("long", {"prefix": "lobb"}),
    agent("short", {"prefix": "lob"}),
    agent("any", {"regex": ".*"}, age=1000),
]


@given(st.permutations(BY_SPECIFICITY))
def test_the_most_specific_wins_in_whatever_order_they_are_known(agents: list[Agent]) -> None:
    choice = choose(agents, "lobby", ["ada"])
    assert choice is not None
    assert [choice.agent, *choice.rivals] == BY_SPECIFICITY


def test_an_agent_is_as_specific_as_its_most_specific_rule() -> None:
    several = agent("several", {"regex": ".*"}, {"prefix": "lo"}, {"prefix": "lobb"})
    assert winner("lobby", several, agent("one", {"prefix": "lob"}, age=1)) == "several"


def test_the_older_of_two_alike_wins() -> None:
    young, old = agent("a", {"name": "lobby"}), agent("b", {"name": "lobby"}, age=1)
    assert winner("lobby", young, old) == winner("lobby", old, young) == "b"


def test_of_two_made_in_the_same_second_every_gateway_chooses_the_same() -> None:
    one = agent("one", {"name": "lobby"}, namespace="b")
    other = agent("other", {"name": "lobby"}, namespace="a")
    assert winner("lobby", one, other) == winner("lobby", other, one) == "other"


def test_a_dispatch_counts_by_its_agents_name_and_is_remembered() -> None:
    ada = agent("ada", {"agentName": "ada"}, {"name": "lobby"})
    assert winner("lobby", ada, dispatched=("someone",)) == "ada"
    choice = choose([ada], "lobby", ("someone", "ada"))
    assert choice is not None
    assert choice.claim == Claim(Kind.AGENT_NAME)
    assert choice.claim.dispatch == "ada"
