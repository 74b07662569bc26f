"""How long the parts of a call may take."""

from datetime import timedelta

from pydantic import ConfigDict, Field, JsonValue

from voicepod.api.base import Model
from voicepod.api.durations import Duration, between, seconds

# A day bounds everything that a LiveKit token has to outlive; a week is long enough to look back.
_LIMITS: list[JsonValue] = [
    between("startDeadline", "1s", "1h"),
    between("reconnectGrace", "0s", "1h"),
    between("idleTimeout", "0s", "24h"),
    between("maxDuration", "1s", "24h"),
    between("shutdownGrace", "0s", "10m"),
    between("ttlAfterFinished", "0s", "168h"),
    {
        "rule": "!has(self.maxDuration) || !has(self.shutdownGrace) || "
        "duration(self.maxDuration) > duration(self.shutdownGrace)",
        "message": "maxDuration must be longer than shutdownGrace, which is its last part",
    },
]


class Lifecycle(Model):
    """How long the parts of a call may take.

    A VoiceAgent holds all of them; a VoiceSession sets those that differ.
    """

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": _LIMITS})

    start_deadline: Duration = Field(
        default="60s",
        description="How long a pod may take until its agent is in the room, and how long an agent "
        "waits in the room for a caller who never comes. 1s to 1h.",
    )
    reconnect_grace: Duration = Field(
        default="10s",
        description="How long the agent waits for a caller who left while the room stays open. "
        "0s to 1h.",
    )
    idle_timeout: Duration = Field(
        default="0s",
        description="How long nobody may speak, neither the caller nor the agent, before the call "
        "ends; needs voicepod's runtime in the agent. 0s to 24h; 0s: as long as they like.",
    )
    max_duration: Duration = Field(
        default="2h",
        description="How long a call may last, counted from the agent's join. The agent is told "
        "shutdownGrace before that it is over. 1s to 24h, and longer than shutdownGrace.",
    )
    shutdown_grace: Duration = Field(
        default="10s",
        description="How long the agent has to say goodbye when the call ends. 0s to 10m.",
    )
    max_replacements: int = Field(
        default=3,
        ge=0,
        le=10,
        description="How many agents that were lost are replaced, before the session fails.",
    )
    ttl_after_finished: Duration = Field(
        default="1h", description="How long a finished VoiceSession is kept. 0s to 168h."
    )

    def overridden_by(self, own: "Lifecycle | None") -> "Lifecycle":
        """Return these durations with those that a session sets itself in their place."""
        if own is None:
            return self
        return self.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    def seconds(self, field: str) -> float:
        """Return the duration of a field in seconds."""
        return seconds(getattr(self, field))

    @property
    def talk(self) -> timedelta:
        """How long an agent may be in a call until it must say goodbye."""
        return timedelta(seconds=self.seconds("max_duration") - self.seconds("shutdown_grace"))
