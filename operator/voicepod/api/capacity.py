"""How many calls at once: the capacity of a VoiceAgent, and what happens when it is reached."""

from enum import StrEnum
from typing import Final

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from voicepod.api.base import Model
from voicepod.api.durations import Duration, between, seconds

# Kubernetes' own bound for the key of a label: a DNS name, a slash, 63 characters.
_MAX_LABEL: Final = 317
_LABEL: Final = (
    r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)

# More placeholders than this hold room for no growth of calls any more but are a mistake, as are
# more idle pods in a pool.
_MAX_HEADROOM: Final = 1000

_EXACTLY_ONE: JsonDict = {
    "rule": "has(self.label) != has(self.roomDelimiter)",
    "message": "set exactly one of label, roomDelimiter",
}


class TenantFrom(Model):
    """Where it stands whose call a session is: exactly one field is set."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_EXACTLY_ONE]})

    label: str | None = Field(
        default=None,
        min_length=1,
        max_length=_MAX_LABEL,
        pattern=_LABEL,
        description="The tenant is the value of this label of the VoiceSession.",
    )
    room_delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="The tenant is what stands before the first of these in the room's name: of "
        "acme-42 it is acme with '-'.",
    )


class WhenFull(StrEnum):
    """What becomes of a session that finds no place."""

    QUEUE = "Queue"
    """It waits until it is its turn."""

    REJECT = "Reject"
    """It fails at once."""


class Capacity(Model):
    """How many calls there may be at once, and what becomes of those beyond."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [between("queueDeadline", "1s", "1h")]}
    )

    max_sessions: int | None = Field(
        default=None,
        ge=1,
        description="How many sessions may have a pod at once. Not set: as many as come, or as the "
        "operator allows for the namespace. A call that lost its agent keeps its place.",
    )
    when_full: WhenFull = Field(
        default=WhenFull.QUEUE,
        description="Queue: a session beyond waits for its turn. Reject: it fails at once.",
    )
    queue_deadline: Duration = Field(
        default="2m", description="How long a session waits for its turn at most. 1s to 1h."
    )
    tenant_from: TenantFrom | None = Field(
        default=None,
        description="Whose call a session is: of those who wait, the tenant with the fewest calls "
        "goes first. Not set: all sessions of this VoiceAgent are one tenant's.",
    )
    headroom: int = Field(
        default=0,
        ge=0,
        le=_MAX_HEADROOM,
        description="For how many more pods nodes have room: so many placeholders, as large as a "
        "pod of this VoiceAgent, hold it. Pods that need the room take it at once, and the "
        "autoscaler brings a node for the placeholders that had to go.",
    )

    @property
    def queue_seconds(self) -> float:
        """How long a session waits for its turn at most."""
        return seconds(self.queue_deadline)


class HeadroomStatus(Model):
    """How much room is held."""

    ready: int = Field(default=0, description="Placeholders that run on a node, and so hold room.")
    message: str | None = Field(
        default=None, description="What keeps placeholders from being made, if something does."
    )
