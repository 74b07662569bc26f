"""``VoiceAgent``: how one kind of agent runs, and which rooms it serves."""

from typing import Any, Final

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from voicepod.api.base import Model, Time
from voicepod.api.capacity import Capacity, HeadroomStatus
from voicepod.api.conditions import ONE_OF_EACH_TYPE, Condition
from voicepod.api.durations import Duration, between
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.names import AGENT_CONTAINER
from voicepod.api.rollout import Rollout, RolloutStatus

KEY: Final = "LIVEKIT_API_KEY"
SECRET: Final = "LIVEKIT_API_SECRET"
REDIS_URL: Final = "REDIS_URL"

# The longest name of a room that LiveKit accepts by default.
MAX_ROOM_NAME: Final = 256

# Bounds the cost of the CEL rules and of matching; far above what anyone has.
_MAX_ROOM_RULES: Final = 64
_MAX_CONTAINERS: Final = 32


class SecretRef(Model):
    """The name of a Secret in the VoiceAgent's namespace."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Secret.")


_URL: Final = r"^wss?://[^/\s]+.*$"
_MAX_URL: Final = 2048


class LiveKit(Model):
    """The LiveKit server that the calls are on."""

    url: str = Field(
        pattern=_URL,
        max_length=_MAX_URL,
        description="URL of the LiveKit server as pods and operator reach it: wss://… or ws://…",
    )
    public_url: str | None = Field(
        default=None,
        pattern=_URL,
        max_length=_MAX_URL,
        description="URL of the same server as callers reach it, where that is another one; the "
        "token endpoint gives it to them.",
    )
    credentials_secret_ref: SecretRef = Field(
        description=f"The Secret that holds {KEY} and {SECRET}. Operator and gateway read it; "
        "no agent pod ever does."
    )


_EXACTLY_ONE: JsonDict = {
    "rule": "[has(self.name), has(self.prefix), has(self.regex), has(self.agentName)]"
    ".filter(set, set).size() == 1",
    "message": "set exactly one of name, prefix, regex, agentName",
}


# CEL's `matches` raises on an expression that is not RE2, and so the API server refuses it.
_REGEX_IS_RE2: JsonDict = {
    "rule": "!has(self.regex) || ''.matches(self.regex) in [true, false]",
    "message": "regex is not a valid RE2 expression",
}


class RoomRule(Model):
    """One way for a room to be this agent's: exactly one field is set."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [_EXACTLY_ONE, _REGEX_IS_RE2]}
    )

    agent_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="The room's dispatch asks for an agent of this name.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ROOM_NAME,
        description="The room has exactly this name.",
    )
    prefix: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ROOM_NAME,
        description="The room's name starts with this.",
    )
    regex: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="The whole of the room's name matches this RE2 expression.",
    )


_HAS_AGENT_CONTAINER: JsonDict = {
    "rule": f"self.spec.containers.exists(c, c.name == '{AGENT_CONTAINER}')",
    "message": f"template.spec.containers must have a container named '{AGENT_CONTAINER}'",
}

_OBJECT: JsonDict = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

# What the operator adds something to must have the shape that it has in a pod; the rest of a
# template is judged by the API server when a pod is made of it.
_OPTIONAL: JsonDict = {**_OBJECT, "nullable": True}
_OBJECTS: JsonDict = {"type": "array", "items": _OBJECT, "nullable": True}
_STRINGS: JsonDict = {
    "type": "object",
    "additionalProperties": {"type": "string"},
    "nullable": True,
}
_CONTAINER: JsonDict = {
    **_OBJECT,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "maxLength": 63},
        "env": _OBJECTS,
        "lifecycle": _OPTIONAL,
        "securityContext": _OPTIONAL,
    },
}

_TEMPLATE_SCHEMA: JsonDict = {
    "type": "object",
    "required": ["spec"],
    "properties": {
        "metadata": {
            **_OPTIONAL,
            "description": "Labels and annotations of the agent pods.",
            "properties": {"labels": _STRINGS, "annotations": _STRINGS},
        },
        "spec": {
            **_OBJECT,
            "description": "PodSpec of the agent pods, as in a Deployment.",
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": _MAX_CONTAINERS,
                    "items": _CONTAINER,
                },
                "initContainers": {"type": "array", "items": _CONTAINER, "nullable": True},
                "securityContext": _OPTIONAL,
            },
        },
    },
    "x-kubernetes-validations": [_HAS_AGENT_CONTAINER],
}


_MAX_AT_LEAST_MIN: JsonDict = {
    # has(): the API server tries the rule on the empty default, before it fills in the fields.
    "rule": "!has(self.max) || self.max >= self.min",
    "message": "pool.max must be at least pool.min",
}

# More idle pods than this are no pool any more but a mistake.
MAX_POOL: Final = 1000


class Pool(Model):
    """Warm pods: up, registered, and waiting for a call."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_MAX_AT_LEAST_MIN]})

    min: int = Field(
        default=0,
        ge=0,
        le=MAX_POOL,
        description="How many pods wait for a call. 0: every call starts its own.",
    )
    max: int | None = Field(
        default=None,
        ge=0,
        le=MAX_POOL,
        description="How many pods may wait or start at most, whatever happens; twice min if it "
        "is not set. Between min and max the pool sizes itself by how many calls come while a pod "
        "starts, and what there is above min lets a new template's pods be ready before the old "
        "ones go.",
    )

    @property
    def most(self) -> int:
        """The bound that counts."""
        return 2 * self.min if self.max is None else self.max


class CheckpointStore(Model):
    """Where a conversation outlives the pod, and the node, that it was held on."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [between("ttl", "1m", "168h")]}
    )

    redis_secret_ref: SecretRef = Field(
        description=f"The Secret that holds {REDIS_URL}, such as redis://:password@host:6379/0 or "
        "rediss://… for TLS. The sidecar of each agent pod gets it; the agent does not."
    )
    ttl: Duration = Field(
        default="2h",
        description="How long Redis keeps what was said last, should nobody end the session: as "
        "long as maxDuration by default, so that none is forgotten during its call. 1m to 168h.",
    )


_POOL_WITHIN_CAPACITY: JsonDict = {
    "rule": "!has(self.capacity.maxSessions) || self.pool.min <= self.capacity.maxSessions",
    "message": "pool.min must be at most capacity.maxSessions: no more pods can have a call",
}


class VoiceAgentSpec(Model):
    """How one kind of agent runs, and which rooms it serves."""

    model_config = ConfigDict(
        json_schema_extra={"x-kubernetes-validations": [_POOL_WITHIN_CAPACITY]}
    )

    livekit: LiveKit = Field(description="The LiveKit server that the calls are on.")
    template: dict[str, Any] = Field(
        json_schema_extra=_TEMPLATE_SCHEMA,
        description="PodTemplateSpec of the agent pods. The container named "
        f"'{AGENT_CONTAINER}' runs your LiveKit agent, unchanged: it finds LIVEKIT_URL and the "
        "keys in its environment and registers as with any LiveKit server.",
    )
    rooms: list[RoomRule] = Field(
        default_factory=list,
        max_length=_MAX_ROOM_RULES,
        description="Which rooms get a session by webhook. Of several VoiceAgents that want a room "
        "the most specific wins (agentName, name, the longest prefix, regex), then the older one. "
        "None: sessions are made by the API only.",
    )
    pool: Pool = Field(default_factory=Pool, description="Pods that wait for a call, warm.")
    rollout: Rollout = Field(
        default_factory=Rollout, description="How a changed template takes over."
    )
    lifecycle: Lifecycle = Field(
        default_factory=Lifecycle, description="How long the parts of a call may take."
    )
    capacity: Capacity = Field(
        default_factory=Capacity,
        description="How many calls there may be at once, what becomes of those beyond, and the "
        "room that is held for more.",
    )
    checkpoint: CheckpointStore | None = Field(
        default=None,
        description="Where what was said is kept for an agent that takes the call over. None: in "
        "the memory of the pod, which outlives its agent, but not its node.",
    )


class VoiceAgentStatus(Model):
    """What is going on with the sessions of this agent."""

    observed_generation: int | None = Field(
        default=None, description="The generation of the spec that this status speaks of."
    )
    active: int = Field(default=0, description="Sessions whose agent is in its room.")
    starting: int = Field(default=0, description="Sessions whose agent is on its way.")
    queued: int = Field(default=0, description="Sessions that wait for a place.")
    warm: int = Field(default=0, description="Pods that wait for a call.")
    warming: int = Field(default=0, description="Pods on their way to be warm.")
    wanted: int = Field(default=0, description="Pods that should wait, by what was measured.")
    arrivals_per_minute: float = Field(
        default=0.0,
        description="Calls a minute: of the last quarter of a minute, or of the last "
        "five minutes where those were more.",
    )
    refill_seconds: float | None = Field(
        default=None,
        description="How long a pod that has its node takes until it waits: the 95th percentile of "
        "the last fifty.",
    )
    draining: int = Field(
        default=0, description="Calls on cordoned nodes, which are not free before they are over."
    )
    drained_by: Time | None = Field(
        default=None,
        description="When the last of them is over at the latest, by its maxDuration.",
    )
    headroom: HeadroomStatus | None = Field(
        default=None,
        description="How much of capacity.headroom is held; not set when there is none.",
    )
    rollout: RolloutStatus | None = Field(
        default=None, description="Which template new sessions get, while rollout.canary is set."
    )
    last_call: Time | None = Field(default=None, description="When a session last started.")
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra=ONE_OF_EACH_TYPE,
        description="Ready: sessions of this agent can start.",
    )


class VoiceAgent(Model):
    """How one kind of LiveKit agent runs: one pod for each call, and which rooms it serves."""

    spec: VoiceAgentSpec = Field(description="What is wanted.")
    status: VoiceAgentStatus = Field(
        default_factory=VoiceAgentStatus, description="What is so; written by the operator."
    )
