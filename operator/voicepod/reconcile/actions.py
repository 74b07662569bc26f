"""What the reconciler can do; ``decide`` names them, ``Actor`` carries them out."""

from dataclasses import dataclass

from voicepod.api.conditions import Reason
from voicepod.reconcile.objects import Pod


@dataclass(frozen=True, slots=True)
class OpenRoom:
    """Open the room, so that the agent's job can name its sid."""


@dataclass(frozen=True, slots=True)
class ClaimPod:
    """Give the session a pod of its own: a warm one, or a new one when none is warm."""

    generation: int


@dataclass(frozen=True, slots=True)
class Assign:
    """Offer the job to the pod's agent, mint its token, and dispatch the job."""


@dataclass(frozen=True, slots=True)
class LookAtPod:
    """Ask the pod's sidecar what has happened."""


@dataclass(frozen=True, slots=True)
class LookAtRoom:
    """Ask LiveKit who is in the room."""


@dataclass(frozen=True, slots=True)
class EndJob:
    """Tell the agent that the call is over; it may say goodbye."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class CloseRoom:
    """Close the room, as the agent asked for."""


@dataclass(frozen=True, slots=True)
class EvictAgent:
    """Put an agent out of the room that does not end its job."""


@dataclass(frozen=True, slots=True)
class KeepCheckpoint:
    """Have at hand what was said in the call, before the pod that knows it best is gone."""

    pod: Pod


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod of the session."""

    pod: Pod
    at_once: bool = False
    """Its agent was lost: it is not asked to say goodbye."""


@dataclass(frozen=True, slots=True)
class DeleteSession:
    """Delete the VoiceSession, whose time to be looked at is over."""


Action = (
    OpenRoom
    | ClaimPod
    | Assign
    | LookAtPod
    | LookAtRoom
    | EndJob
    | CloseRoom
    | EvictAgent
    | KeepCheckpoint
    | DeletePod
    | DeleteSession
)
