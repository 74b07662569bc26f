"""Which VoiceAgent a room belongs to. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from voicepod.gateway.objects import Agent
from voicepod.gateway.rules import Claim


@dataclass(frozen=True, slots=True)
class Choice:
    """The VoiceAgent that gets a room."""

    agent: Agent
    claim: Claim
    rivals: tuple[Agent, ...] = ()
    """Others that want the room as well."""


def choose(agents: Iterable[Agent], room: str, dispatched: Collection[str]) -> Choice | None:
    """Return who gets the room: the most specific rule wins, then the older VoiceAgent.

    ``dispatched`` are the names of the agents that the room's dispatches ask for. None when nobody
    wants the room.
    """
    claims = [(claim, agent) for agent in agents if (claim := agent.rules.claim(room, dispatched))]
    if not claims:
        return None
    # The name decides between two that were made in the same second, so that every gateway comes
    # to the same answer.
    (claim, first), *rest = sorted(
        claims, key=lambda pair: (-pair[0].kind, -pair[0].length, pair[1].created, pair[1].key)
    )
    return Choice(first, claim, tuple(agent for _, agent in rest))
