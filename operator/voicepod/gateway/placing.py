"""Which VoiceAgent and which room a caller gets who asks for a token. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

from voicepod.api.agent import MAX_ROOM_NAME
from voicepod.gateway.matching import Choice, choose
from voicepod.gateway.objects import Agent
from voicepod.gateway.rules import Kind


class NoPlaceError(Exception):
    """No VoiceAgent is meant, or several may be; the message says what the request lacks."""


@dataclass(frozen=True, slots=True)
class Place:
    """A room, and the VoiceAgent that gets it."""

    choice: Choice
    room: str


def place(agents: Collection[Agent], room: str, agent_name: str, suffix: str) -> Place:
    """Return where a caller goes who names a room and an agent; either may be empty.

    A room without a name gets one that ends in ``suffix``. Raises NoPlaceError.
    """
    if agent_name:
        return _place_of(agents, room or f"room-{suffix}", agent_name)
    if room:
        if choice := choose(agents, room, ()):
            return Place(choice, room)
        raise NoPlaceError("room_name: no VoiceAgent has a rule that wants this room")
    # Two are enough to know that there is more than one.
    match list(islice(_drawn(agents, suffix), 2)):
        case [only]:
            return only
        case []:
            raise NoPlaceError(
                "room_name: give one, as no VoiceAgent wants rooms of whichever name by a prefix "
                "or a regex"
            )
        case _:
            raise NoPlaceError(
                "room_name: give one, or room_config.agents[0].agent_name, as more than one "
                "VoiceAgent may be meant"
            )


def _place_of(agents: Collection[Agent], room: str, agent_name: str) -> Place:
    choice = choose(agents, room, (agent_name,))
    if choice is None or choice.claim.kind is not Kind.AGENT_NAME:
        raise NoPlaceError(
            "room_config.agents[0].agent_name: no VoiceAgent has a rule with this agentName"
        )
    return Place(choice, room)


def _drawn(agents: Collection[Agent], suffix: str) -> Iterator[Place]:
    """Yield each VoiceAgent that wants rooms of new names, with such a room."""
    for agent in agents:
        names = (f"{prefix}{suffix}" for prefix in (*agent.rules.prefixes, "room-"))
        for name in names:
            if len(name.encode()) > MAX_ROOM_NAME:
                continue
            choice = choose(agents, name, ())
            if choice and choice.agent is agent:
                yield Place(choice, name)
                break
