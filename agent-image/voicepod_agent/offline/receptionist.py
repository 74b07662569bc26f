"""What the receptionist of the Harbor Cafe answers: a few rules in place of a language model.

An answer follows from what the caller has said so far, and from nothing else. So whoever is given
the conversation can go on with it, as a language model could: a name told before is remembered.
"""

import re
from collections.abc import Sequence

from voicepod_agent.offline.phrases import NUMBERS

GREETING = "Hello, this is the Harbor Cafe. How can I help you?"

_NOT_UNDERSTOOD = (
    "Sorry, I did not understand that. "
    "You can ask for our opening hours, our address, the menu, or a table."
)

_NAME = re.compile(r"\bmy name is (\w+)")

# The first entry that has a word in common with the caller's wins: "thank you, goodbye" is a
# goodbye, and "hello, when do you open" is a question.
_ANSWERS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"goodbye", "bye"}), "Thank you for calling. Goodbye!"),
    (
        frozenset({"open", "opening", "close", "closing", "hours"}),
        "We are open every day, from nine in the morning until six in the evening.",
    ),
    (frozenset({"where", "address"}), "We are at twelve Harbor Street, next to the station."),
    (frozenset({"menu"}), "Today we have vegetable soup, fish with potatoes, and apple pie."),
    (frozenset({"thank", "thanks"}), "You are welcome. Is there anything else?"),
    (frozenset({"yes", "please"}), "Gladly. What would you like?"),
    (frozenset({"hello", "hi", "morning", "evening"}), "Hello! How can I help you?"),
)


def answer(said: Sequence[str]) -> str:
    """Answer the last of the caller's turns.

    `said` is everything that the caller has said, oldest first. When that is nothing yet, the
    answer is the greeting.
    """
    if not said:
        return GREETING
    turn = said[-1].lower()
    words = re.findall(r"\w+", turn)
    if name := _told_name([turn]):
        return f"Nice to meet you, {name}. What can I do for you?"
    if "name" in words:
        name = _told_name(said)
        return f"Your name is {name}." if name else "You have not told me your name yet."
    if "table" in words:
        size = next((word for word in words if word in NUMBERS), None)
        return f"A table for {size}, gladly." if size else "Gladly. For how many people?"
    for keywords, reply in _ANSWERS:
        if keywords.intersection(words):
            return reply
    return _NOT_UNDERSTOOD


def resumption(said: Sequence[str], unanswered: bool) -> str:
    """Go on with a call that was interrupted; `unanswered` is whether its last turn still is."""
    name = _told_name(said)
    sorry = f"Sorry, {name}, I was interrupted." if name else "Sorry, I was interrupted."
    return f"{sorry} {answer(said)}" if unanswered else f"{sorry} What can I do for you?"


def _told_name(said: Sequence[str]) -> str | None:
    """Give the name that the caller told last, or None."""
    for turn in reversed(said):
        if match := _NAME.search(turn.lower()):
            return match[1].capitalize()
    return None
