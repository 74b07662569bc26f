"""``VoiceSession``: one conversation, its pod, and the ledger of what happened."""

from enum import StrEnum

from pydantic import ConfigDict, Field, JsonValue
from pydantic.config import JsonDict

from voicepod.api.agent import MAX_ROOM_NAME
from voicepod.api.base import Model, Time
from voicepod.api.conditions import ONE_OF_EACH_TYPE, Condition, Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.names import MAX_AGENT_NAME

# LiveKit's own bound for a job's metadata is the size of a signal message; this is well below it.
_MAX_METADATA = 65536

# Room for every scheme of levels that people keep in their heads.
_MAX_PRIORITY = 1000


class Phase(StrEnum):
    """Where a session is on its way. Ended and Failed are for ever."""

    PENDING = "Pending"
    QUEUED = "Queued"
    STARTING = "Starting"
    ACTIVE = "Active"
    RECONNECTING = "Reconnecting"
    ENDING = "Ending"
    ENDED = "Ended"
    FAILED = "Failed"

    @property
    def finished(self) -> bool:
        """Whether nothing will happen any more."""
        return self in (Phase.ENDED, Phase.FAILED)


class AgentRef(Model):
    """The VoiceAgent, in the same namespace."""

    name: str = Field(
        min_length=1, max_length=MAX_AGENT_NAME, description="Name of the VoiceAgent."
    )


def _unchanged(field: str) -> JsonDict:
    return {
        "rule": f"self.{field} == oldSelf.{field}",
        "message": f"{field} cannot be changed: a session is one conversation of one agent in one "
        "room; make a new VoiceSession",
    }


_IMMUTABLE: list[JsonValue] = [
    _unchanged("agentRef"),
    _unchanged("room"),
    _unchanged("metadata"),
    {
        "rule": "self.roomSid == oldSelf.roomSid || oldSelf.roomSid == ''",
        "message": "roomSid cannot be changed",
    },
    {
        "rule": "self.end || !oldSelf.end",
        "message": "end cannot be taken back: the call has ended; make a new VoiceSession",
    },
]


class VoiceSessionSpec(Model):
    """One conversation: which agent, in which room."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": _IMMUTABLE})

    agent_ref: AgentRef = Field(description="The VoiceAgent that takes the call.")
    room: str = Field(
        min_length=1,
        max_length=MAX_ROOM_NAME,
        description="Name of the LiveKit room; it is opened if it isn't there yet.",
    )
    room_sid: str = Field(
        default="",
        max_length=64,
        description="Id of the room, set by the gateway: a later room of the same name is "
        "another call.",
    )
    metadata: str = Field(
        default="",
        max_length=_MAX_METADATA,
        description="Given to the agent as its job's metadata.",
    )
    priority: int = Field(
        default=0,
        ge=-_MAX_PRIORITY,
        le=_MAX_PRIORITY,
        description="Of the sessions that wait for a place, those of the highest priority go "
        f"first. It may be changed while the session waits. -{_MAX_PRIORITY} to {_MAX_PRIORITY}.",
    )
    end: bool = Field(default=False, description="Set to true to end the call.")
    lifecycle: Lifecycle | None = Field(
        default=None,
        description="Durations that differ from the VoiceAgent's.",
        # The API server would fill them in, and the VoiceAgent's would never count.
        json_schema_extra={"x-voicepod-no-defaults": True},
    )


class Times(Model):
    """When each step of the way of a call happened."""

    received: Time | None = Field(default=None, description="The session was made.")
    queued: Time | None = Field(default=None, description="It began to wait for a place.")
    placed: Time | None = Field(default=None, description="It was its turn, after it had waited.")
    claimed: Time | None = Field(default=None, description="It got its pod.")
    assigned: Time | None = Field(default=None, description="The pod's agent was given the job.")
    joined: Time | None = Field(default=None, description="The agent was in the room.")
    first_audio: Time | None = Field(default=None, description="The agent's audio was there.")
    caller: Time | None = Field(default=None, description="A caller was first seen in the room.")
    left: Time | None = Field(default=None, description="The last caller left.")
    ending: Time | None = Field(default=None, description="The agent was told that it is over.")
    ended: Time | None = Field(default=None, description="The session was over.")


class InLine(Model):
    """Where a session stands among those that wait for a place."""

    position: int = Field(description="How many go before it, and itself: 1 is the next.")
    at: Time = Field(
        description="When this was so. It is written once a minute, and may grow: whoever has a "
        "higher priority, or fewer calls, goes first."
    )


class Loss(Model):
    """An agent that the call has lost."""

    generation: int = Field(description="Which of the session's agents it was.")
    pod: str = Field(description="Name of its pod.")
    template: str = Field(default="", description="Hash of what the pod was made from.")
    reason: Reason = Field(description="Why it counts as lost.")
    message: str = Field(description="The reason in a sentence.")
    at: Time = Field(description="When it was noticed.")
    taken_over: Time | None = Field(
        default=None, description="When the audio of another agent was there."
    )


class PodSeconds(Model):
    """What a session used its pods for, in seconds; a lost agent's pod is among them."""

    warm: float = Field(
        default=0.0,
        description="From a warm pod's making until the session claimed it; 0 for a pod that was "
        "started for the session.",
    )
    talking: float = Field(default=0.0, description="A caller was in the room with the agent.")
    waiting: float = Field(
        default=0.0,
        description="The rest: the start, until a caller came, while the caller was away, and the "
        "goodbye.",
    )
    since: Time | None = Field(
        default=None,
        description="Until when this is counted; not set when the session has no pod.",
    )


class VoiceSessionStatus(Model):
    """What is going on with a conversation, and its ledger when it is over."""

    phase: Phase = Field(default=Phase.PENDING, description="Where the session is on its way.")
    reason: Reason | None = Field(default=None, description="Why it is in this phase.")
    message: str = Field(default="", description="The reason in a sentence.")
    pod: str = Field(default="", description="Name of the session's pod.")
    node: str = Field(default="", description="Node that the pod is on.")
    generation: int = Field(
        default=0, description="How many agents the session has had; the first is 1."
    )
    joined: int = Field(
        default=0, description="Generation of the agent that last joined the room; 0: none."
    )
    lost: list[Loss] = Field(
        default_factory=list, description="Agents that the call has lost, the oldest first."
    )
    template: str = Field(default="", description="Hash of what the session's pod was made from.")
    room_sid: str = Field(default="", description="Id of the room.")
    identity: str = Field(default="", description="Identity of the agent in the room.")
    queue: InLine | None = Field(
        default=None, description="Where the session stands, while it waits for a place."
    )
    times: Times = Field(
        default_factory=Times, description="When each step of the way of the call happened."
    )
    end_reason: Reason | None = Field(default=None, description="Why the session is over.")
    pod_seconds: PodSeconds | None = Field(
        default=None, description="What the session used its pods for: what the call cost."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        json_schema_extra=ONE_OF_EACH_TYPE,
        description="Accepted, PodReady and Active.",
    )


class VoiceSession(Model):
    """One conversation in one LiveKit room, with an agent pod of its own."""

    spec: VoiceSessionSpec = Field(description="What is wanted.")
    status: VoiceSessionStatus = Field(
        default_factory=VoiceSessionStatus, description="What is so; written by the operator."
    )
