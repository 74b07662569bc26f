import pytest

from voicepod_agent.offline.phrases import sentences
from voicepod_agent.offline.receptionist import GREETING, answer, resumption

pytestmark = pytest.mark.unit


def test_a_silent_caller_is_greeted() -> None:
    assert answer([]) == GREETING


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("what are your opening hours", "nine in the morning"),
        ("Where are you?", "Harbor Street"),
        ("what is on the menu", "soup"),
        ("i would like to book a table for four people", "A table for four"),
        ("can i book a table", "how many people"),
        ("hello", "How can I help you?"),
        ("thank you very much", "welcome"),
        ("thank you goodbye", "Goodbye"),
        ("My name is Robert.", "Nice to meet you, Robert"),
    ],
)
def test_a_turn_is_answered(said: str, part: str) -> None:
    assert part in answer([said])


def test_a_name_told_before_is_remembered() -> None:
    said = ["hello", "my name is robert", "what are your opening hours", "What is my name?"]

    assert answer(said) == "Your name is Robert."


def test_the_name_told_last_counts() -> None:
    said = ["my name is robert", "my name is peter", "do you remember my name"]

    assert answer(said) == "Your name is Peter."


def test_a_name_never_told_is_not_invented() -> None:
    assert "not told me" in answer(["what is my name"])


@pytest.mark.parametrize("said", ["the moon is made of cheese", ""])
def test_what_is_not_understood_is_answered_by_what_can_be_asked(said: str) -> None:
    assert "You can ask for" in answer([said])


@pytest.mark.parametrize(
    ("said", "unanswered", "words"),
    [
        (["my name is robert"], False, "Sorry, Robert, I was interrupted. What can I do for you?"),
        (["my name is robert", "where are you"], True, "Sorry, Robert, I was interrupted. We are"),
        (["where are you"], False, "Sorry, I was interrupted. What can I do for you?"),
        ([], False, "Sorry, I was interrupted. What can I do for you?"),
    ],
)
def test_an_interrupted_call_is_gone_on_with(said: list[str], unanswered: bool, words: str) -> None:
    assert resumption(said, unanswered).startswith(words)


def test_every_sentence_that_is_listened_for_has_an_answer() -> None:
    unanswered = [
        sentence for sentence in sentences() if "did not understand" in answer([sentence])
    ]

    assert unanswered == []
