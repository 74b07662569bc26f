"""VoiceAgents and VoiceSessions as the gateway sees them: only what it needs, from plain JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from voicepod.api.agent import LiveKit, RoomRule
from voicepod.api.conditions import TURNED_AWAY, Reason
from voicepod.api.names import ANNOTATION_AGENT_NAME, ANNOTATION_ROOM_CHANGED
from voicepod.api.session import Phase
from voicepod.gateway.rules import Rules
from voicepod.kube.client import Object

Key = tuple[str, str]
"""Namespace and name."""

# Ends of a call whose caller is there: the room stays theirs, without an agent.
_ON_PURPOSE: Final = frozenset(
    {Reason.REQUESTED, Reason.IDLE_TIMEOUT, Reason.MAX_DURATION, *TURNED_AWAY}
)


@dataclass(frozen=True, slots=True)
class Agent:
    """A VoiceAgent: which rooms it wants, and on which LiveKit."""

    key: Key
    uid: str
    generation: int
    created: datetime
    livekit: LiveKit
    rules: Rules


@dataclass(frozen=True, slots=True)
class Session:
    """A VoiceSession: which room it is of, and how far it is."""

    key: Key
    uid: str
    version: int
    agent: Key
    room: str
    room_sid: str
    """Empty while nobody has opened the room of a session that was made before it."""
    agent_name: str
    """The agent name that a caller asked for; empty for most."""
    phase: str
    """A ``Phase``, or one that only a newer operator knows."""
    reason: str
    """Why it is in this phase."""
    joined: bool
    """The agent was in the room."""
    caller_there: bool
    """The operator has seen a caller in the room, and none leave."""
    room_changed: str
    """Id of the event that it was last touched for."""
    end_reason: str
    """Empty while nobody has decided that it is over."""
    parted: float | None
    """When it was ended though its caller was there, in Unix seconds: only who joins after that
    wants an agent again. None while it goes on, and of all other ends."""

    @property
    def finished(self) -> bool:
        """Whether nothing will happen any more."""
        return self.phase in (Phase.ENDED, Phase.FAILED)

    @property
    def turned_away(self) -> bool:
        """Whether it is over because it got no place."""
        return self.end_reason in TURNED_AWAY

    @property
    def ending(self) -> bool:
        """Whether its agent is saying goodbye; nothing turns that back."""
        return self.phase == Phase.ENDING


def parse_agent(raw: Object) -> Agent:
    """Parse a VoiceAgent. Raises ValueError when it is one of another version."""
    metadata, spec = raw["metadata"], raw["spec"]
    return Agent(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        livekit=LiveKit.model_validate(spec["livekit"]),
        rules=Rules(RoomRule.model_validate(rule) for rule in spec.get("rooms", [])),
    )


def parse_session(raw: Object) -> Session:
    """Parse a VoiceSession."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status", {})
    annotations, times = metadata.get("annotations", {}), status.get("times", {})
    return Session(
        key=(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        agent=(metadata["namespace"], spec["agentRef"]["name"]),
        room=spec["room"],
        room_sid=spec.get("roomSid") or status.get("roomSid", ""),
        agent_name=annotations.get(ANNOTATION_AGENT_NAME, ""),
        phase=status.get("phase", Phase.PENDING),
        reason=status.get("reason", ""),
        joined="joined" in times,
        caller_there="caller" in times and "left" not in times,
        room_changed=annotations.get(ANNOTATION_ROOM_CHANGED, ""),
        end_reason=status.get("endReason", ""),
        parted=_parted(status.get("endReason", ""), times),
    )


def _parted(reason: str, times: dict[str, str]) -> float | None:
    if reason not in _ON_PURPOSE or "ending" not in times:
        return None
    return datetime.fromisoformat(times["ending"]).timestamp()
