"""Conditions of both resources: their types, their reasons, and how one is set.

A reason is a constant that programs may compare; a message is a sentence for people that names
what to mend.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

from pydantic import Field
from pydantic.config import JsonDict

from voicepod.api.base import Model, Time


class ConditionType(StrEnum):
    """What a condition speaks of."""

    READY = "Ready"
    """VoiceAgent: sessions of this agent can start."""

    ACCEPTED = "Accepted"
    """VoiceSession: its VoiceAgent, LiveKit and the credentials are there."""

    POD_READY = "PodReady"
    """VoiceSession: its pod is up and the agent has registered."""

    ACTIVE = "Active"
    """VoiceSession: the agent is in the room."""


class Reason(StrEnum):
    """Why a condition has its status, and why a session ended or failed."""

    # What has to be mended outside before a session can start.
    AGENT_NOT_FOUND = "AgentNotFound"
    SECRET_NOT_FOUND = "SecretNotFound"
    SECRET_FORBIDDEN = "SecretForbidden"
    SECRET_KEY_MISSING = "SecretKeyMissing"
    LIVEKIT_UNREACHABLE = "LiveKitUnreachable"
    LIVEKIT_UNAUTHORIZED = "LiveKitUnauthorized"
    TEMPLATE_REFUSED = "TemplateRefused"
    POD_NOT_CREATED = "PodNotCreated"

    # Why a session has no place.
    AGENT_FULL = "AgentFull"
    NAMESPACE_FULL = "NamespaceFull"
    QUEUE_DEADLINE = "QueueDeadline"

    # How far the pod is.
    POD_STARTING = "PodStarting"
    POD_UNSCHEDULABLE = "PodUnschedulable"
    CONTAINER_FAILED = "ContainerFailed"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    AGENT_CRASHED = "AgentCrashed"
    AGENT_NOT_REGISTERED = "AgentNotRegistered"
    AGENT_REFUSED = "AgentRefused"
    AGENT_NOT_JOINED = "AgentNotJoined"
    POD_UNREACHABLE = "PodUnreachable"

    # All is well.
    ACCEPTED = "Accepted"
    READY = "Ready"
    IN_CALL = "InCall"
    CALLER_AWAY = "CallerAway"

    # Why a session is over.
    CALLER_LEFT = "CallerLeft"
    CALLER_NEVER_CAME = "CallerNeverCame"
    ROOM_CLOSED = "RoomClosed"
    ROOM_TAKEN = "RoomTaken"
    IDLE_TIMEOUT = "IdleTimeout"
    MAX_DURATION = "MaxDuration"
    REQUESTED = "Requested"
    AGENT_CLOSED_ROOM = "AgentClosedRoom"
    AGENT_LOST = "AgentLost"


TURNED_AWAY: Final = frozenset({Reason.AGENT_FULL, Reason.NAMESPACE_FULL, Reason.QUEUE_DEADLINE})
"""Why a session failed that never had a place: nothing is broken, and it may be tried later."""


class Condition(Model):
    """One condition, in the shape of ``metav1.Condition``."""

    type: str = Field(max_length=316)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(max_length=1024, description="A constant in CamelCase.")
    message: str = Field(
        default="", max_length=32768, description="A sentence that says what is so, and what to do."
    )
    last_transition_time: Time = Field(description="When the status last changed.")


ONE_OF_EACH_TYPE: JsonDict = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}
"""What the schema of a list of conditions says on top."""

# A container's last words can be long; what a person reads in a condition is not.
MAX_MESSAGE = 1024


def shorten(message: str) -> str:
    """Cut a message to ``MAX_MESSAGE`` characters, keeping its end, where errors stand."""
    message = message.strip()
    return message if len(message) <= MAX_MESSAGE else "…" + message[-(MAX_MESSAGE - 1) :]


def with_condition(
    conditions: Sequence[Condition],
    type_: ConditionType,
    status: bool,
    reason: Reason,
    message: str,
    now: datetime,
) -> list[Condition]:
    """Return the conditions with one set; its transition time moves with its status only."""
    new = Condition(
        type=type_,
        status="True" if status else "False",
        reason=reason,
        message=shorten(message),
        last_transition_time=now,
    )
    old = next((c for c in conditions if c.type == type_), None)
    if old and old.status == new.status:
        new.last_transition_time = old.last_transition_time
    return [*(c for c in conditions if c.type != type_), new]


def condition(conditions: Sequence[Condition], type_: ConditionType) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((c for c in conditions if c.type == type_), None)
