"""How a changed template takes over: spec and status of a VoiceAgent's rollout."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from voicepod.api.base import Model, Time
from voicepod.api.durations import Duration, between, seconds

_TEMPLATE: JsonDict = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


class Rollout(Model):
    """How a changed template takes over. Live calls are never touched."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [between("canaryFor", "1s", "168h")]}
    )

    canary: int = Field(
        default=0,
        ge=0,
        le=99,
        description="Percentage of the new sessions that try a changed template first, while the "
        "others stay with the one before. 0: a changed template is for all at once.",
    )
    canary_for: Duration = Field(
        default="10m",
        description="How long a changed template is tried at least, before it is for all. It is "
        "taken back as soon as its sessions fail more than the others do. 1s to 168h.",
    )

    @property
    def canary_seconds(self) -> float:
        """How long a changed template is tried at least."""
        return seconds(self.canary_for)


class RolloutState(StrEnum):
    """How far a changed template has come."""

    STABLE = "Stable"
    """There is one template, and all sessions get it."""

    CANARY = "Canary"
    """A changed template is tried by a share of the new sessions."""

    TAKEN_BACK = "TakenBack"
    """The changed template failed: all sessions get the one before until it is changed again."""


class Tally(Model):
    """How the sessions of one template ended."""

    ended: int = Field(default=0, description="Sessions that are over, however they ended.")
    failed: int = Field(default=0, description="Those of them that failed.")


class RolloutStatus(Model):
    """Which template new sessions get, while spec.rollout.canary is set."""

    state: RolloutState = Field(
        default=RolloutState.STABLE, description="How far a changed template has come."
    )
    stable: dict[str, Any] = Field(
        json_schema_extra=_TEMPLATE, description="The template that has proved itself."
    )
    candidate: str = Field(
        default="", description="Digest of the template that is tried, or was taken back."
    )
    since: Time | None = Field(default=None, description="When the state last changed.")
    stable_sessions: Tally = Field(
        default_factory=Tally, description="Sessions of the stable template since then."
    )
    canary_sessions: Tally = Field(
        default_factory=Tally, description="Sessions of the candidate since then."
    )
