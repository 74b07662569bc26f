"""The messages between operator and pod, and the words that stand in them."""

import enum
from dataclasses import dataclass, field
from typing import Final, Self

from voicepod.assignment.codec import Message

AGENT_NAME_ATTRIBUTE: Final = "lk.agent_name"
"""What livekit-server adds to the attributes of every agent that it dispatches."""


class Act(enum.StrEnum):
    """What an operator asks of a pod; the last part of the path it posts to."""

    ASSIGN = "assign"
    TOKEN = "token"
    END = "end"
    STATUS = "status"
    CHECKPOINT = "checkpoint"


class RefusalReason(enum.StrEnum):
    """Why a pod said no."""

    BAD_TOKEN = "BadToken"
    """The request is forged, expired, or meant for another pod or act."""
    MALFORMED = "Malformed"
    TOO_LARGE = "TooLarge"
    AGENT_NOT_READY = "AgentNotReady"
    """No agent is registered. The only refusal that passes by itself."""
    ALREADY_ASSIGNED = "AlreadyAssigned"
    """The pod has another session, or another generation of this one."""
    NOT_ASSIGNED = "NotAssigned"
    """Tokens came before the assignment was accepted."""
    AGENT_REFUSED = "AgentRefused"
    AGENT_GONE = "AgentGone"
    ACCEPTANCE_EXPIRED = "AcceptanceExpired"
    """The tokens came later than the agent waits for them after it has accepted."""
    ENDED = "Ended"
    """The pod was told to end."""


class PodState(enum.StrEnum):
    """Where a pod is in its one life."""

    STARTING = "starting"
    """No agent is registered."""
    WARM = "warm"
    """An agent is registered and waits for its one job."""
    OFFERED = "offered"
    """The job was offered to the agent."""
    ACCEPTED = "accepted"
    """The agent took it and waits for the token."""
    RUNNING = "running"
    """The agent has everything it needs."""
    ENDING = "ending"
    """The agent was told to end its job."""
    ENDED = "ended"
    """The job is over, or the pod will never have one."""
    LOST = "lost"
    """The agent is gone without having ended its job, or as good as gone."""


class EndReason(enum.StrEnum):
    """Why a pod's life is over."""

    JOB_FINISHED = "JobFinished"
    """By the agent's own report: an entrypoint that raised reports success as well."""
    JOB_FAILED = "JobFailed"
    TERMINATED = "Terminated"
    """It was told to end; the message says by whom or why."""
    AGENT_REFUSED = "AgentRefused"
    AGENT_GONE = "AgentGone"
    AGENT_HUNG = "AgentHung"
    """Its process is there, but its event loop stands still, and so does its voice."""
    AGENT_SILENT = "AgentSilent"
    """It runs, and does not answer its caller."""
    ACCEPTANCE_EXPIRED = "AcceptanceExpired"


@dataclass(frozen=True, slots=True)
class SessionRef(Message):
    """A VoiceSession."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class RoomRef(Message):
    """A LiveKit room."""

    sid: str
    name: str


@dataclass(frozen=True, slots=True)
class Tokens(Message):
    """What the agent joins with, and what the sidecar watches and answers with."""

    session_uid: str
    generation: int
    join_token: str = field(repr=False)
    """Joins the room under the agent's identity."""
    room_token: str = field(repr=False)
    """Administers that room; it stays in the sidecar."""


@dataclass(frozen=True, slots=True)
class Assignment(Message):
    """The one job of a pod."""

    session: SessionRef
    generation: int
    """Counts the pods of the session, from 1."""
    room: RoomRef
    livekit_url: str
    """ws:// or wss://; where the agent joins the room."""
    job_id: str
    shutdown_grace: float
    """Seconds that the agent gets to say goodbye."""
    idle_timeout: float = 0.0
    """Seconds that nobody may speak before the operator hears of it; 0.0: it never does."""
    metadata: str = ""
    """The agent finds it as its job's metadata."""
    checkpoint: str | None = None
    """The agent finds it among its job's attributes, as ``voicepod.checkpoint``."""
    tokens: Tokens | None = None
    """For an agent that accepts as ``Accepted.plainly`` says: it need not wait for them then."""


@dataclass(frozen=True, slots=True)
class Permissions(Message):
    """What an agent registered to be allowed in its room; the defaults are livekit-server's."""

    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_update_metadata: bool = True
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Ending(Message):
    """The job is to end."""

    reason: str


@dataclass(frozen=True, slots=True)
class AgentInfo(Message):
    """The agent as it registered."""

    connected: bool = False
    name: str = ""
    version: str = ""
    """Of its LiveKit SDK."""


@dataclass(frozen=True, slots=True)
class JobInfo(Message):
    """The job as the agent reports it; a hint only."""

    id: str
    identity: str
    """Under which the agent joins."""
    status: str = "JS_PENDING"
    """A ``JobStatus`` of the worker protocol. JS_PENDING for good with SDKs that report nothing,
    such as Node's."""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Speech(Message):
    """How the agent talks, as the runtime in its process reports it.

    The three latencies are of its last answer, in seconds; None for what was not measured.
    """

    state: str
    """``AgentSession.agent_state`` of LiveKit's SDK: listening, thinking, speaking, …"""
    first_audio: float | None = None
    """When it first spoke, in Unix seconds."""
    turns: int = 0
    """How often it has spoken."""
    e2e_latency: float | None = None
    """From the end of the caller's words to the beginning of the agent's."""
    llm_node_ttft: float | None = None
    tts_node_ttfb: float | None = None


@dataclass(frozen=True, slots=True)
class Timestamps(Message):
    """When what happened, in Unix seconds; None for what has not."""

    registered: float | None = None
    assigned: float | None = None
    accepted: float | None = None
    dispatched: float | None = None
    """The agent was sent its token."""
    joined: float | None = None
    first_audio: float | None = None
    """Its audio track was first seen in the room."""
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class End(Message):
    """Why it is over."""

    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class PodStatus(Message):
    """All that a sidecar knows."""

    state: PodState
    session: SessionRef | None = None
    generation: int = 0
    agent: AgentInfo = field(default_factory=AgentInfo)
    job: JobInfo | None = None
    at: Timestamps = field(default_factory=Timestamps)
    end: End | None = None
    room_deletion_requested: bool = False
    """The agent asked to delete its room, which only the operator can."""
    stopping: bool = False
    """Somebody deletes the pod in the middle of its call, which waits for another to take over."""
    idle: bool = False
    """Nobody has spoken for ``Assignment.idle_timeout``."""
    speech: Speech | None = None
    """None for an agent without the runtime."""

    @property
    def over(self) -> bool:
        """Whether the pod's life is over: its agent has ended its job, or is gone."""
        return self.state in (PodState.ENDED, PodState.LOST)


@dataclass(frozen=True, slots=True)
class Accepted(Message):
    """What the agent wants to be in the room; the operator mints its token from it."""

    identity: str
    name: str = ""
    metadata: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    permissions: Permissions = field(default_factory=Permissions)
    status: PodStatus | None = None
    """All that the sidecar knows, if the agent has got the assignment's tokens."""

    @classmethod
    def plainly(cls, job_id: str) -> Self:
        """Return what an agent without a name accepts with whose code asks for nothing else."""
        return cls(f"agent-{job_id}", attributes={AGENT_NAME_ATTRIBUTE: ""})


@dataclass(frozen=True, slots=True)
class Checkpoint(Message):
    """The conversation so far."""

    checkpoint: str | None = None
    """As in the ``Assignment`` of whoever goes on with it; None when nothing was said yet."""


@dataclass(frozen=True, slots=True)
class Refusal(Message):
    """The answer of a pod that says no."""

    reason: str
    """A ``RefusalReason``; plain text here, as a later sidecar may know more of them."""
    message: str
