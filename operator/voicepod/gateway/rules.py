"""What the ``rooms`` rules of one VoiceAgent say of a room. Pure."""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import re2  # type: ignore[import-untyped]

from voicepod.api.agent import RoomRule

logger = logging.getLogger(__name__)


class Kind(IntEnum):
    """By what a room is wanted; the greater, the more specific."""

    REGEX = 0
    PREFIX = 1
    NAME = 2
    AGENT_NAME = 3


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """How specifically a room is wanted; the greater, the more specific."""

    kind: Kind
    length: int = 0
    """Characters of the prefix."""
    dispatch: str = field(default="", compare=False)
    """The agent name that the room's dispatch asks for."""


class Rules:
    """All rules of one VoiceAgent, compiled once."""

    def __init__(self, rules: Iterable[RoomRule]) -> None:
        rules = list(rules)
        self.agent_names = frozenset(rule.agent_name for rule in rules if rule.agent_name)
        self._names = frozenset(rule.name for rule in rules if rule.name)
        self.prefixes = sorted((r.prefix for r in rules if r.prefix), key=len, reverse=True)
        self._regexes = [_compile(rule.regex) for rule in rules if rule.regex]

    def claim(self, room: str, dispatched: Collection[str]) -> Claim | None:
        """Return by what the room is wanted at most, or None.

        ``dispatched`` are the names of the agents that the room's dispatches ask for.
        """
        if asked := sorted(self.agent_names.intersection(dispatched)):
            return Claim(Kind.AGENT_NAME, dispatch=asked[0])
        if room in self._names:
            return Claim(Kind.NAME)
        for prefix in self.prefixes:
            if room.startswith(prefix):
                return Claim(Kind.PREFIX, len(prefix))
        if any(regex.fullmatch(room) for regex in self._regexes if regex):
            return Claim(Kind.REGEX)
        return None


def _compile(regex: str) -> Any | None:
    options = re2.Options()
    # It would write to stderr by itself.
    options.log_errors = False
    try:
        return re2.compile(regex, options)
    except re2.error as error:
        # The API server checks expressions with the same RE2 in Go; should the two ever disagree,
        # the VoiceAgent's other rules go on.
        logger.warning("the regex %r is not a valid RE2 expression: %s", regex, error)
        return None
