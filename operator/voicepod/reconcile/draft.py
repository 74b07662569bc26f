"""What ``decide`` is shown, what it answers, and the answer in the making."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from voicepod.api.base import from_unix
from voicepod.api.conditions import ConditionType, Reason, with_condition
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.assignment.messages import PodStatus
from voicepod.livekit.rooms import Room
from voicepod.reconcile.actions import Action
from voicepod.reconcile.capacity import Wait
from voicepod.reconcile.objects import Pod, Problem, Session


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that is known of one session at one moment."""

    now: datetime
    session: Session
    status: VoiceSessionStatus
    """What the operator holds to be so; the API server may not have it yet."""
    lifecycle: Lifecycle
    pod: Pod | None = None
    """The session's newest pod, unless its agent was lost; None when there is none, or none any
    more."""
    older: tuple[Pod, ...] = ()
    """Its pods whose agents were lost, and that nobody has deleted yet."""
    call: PodStatus | None = None
    """What the pod's sidecar last said; None when it was not asked yet."""
    call_seen: datetime | None = None
    """When the sidecar was asked."""
    call_stale: bool = False
    """The sidecar said that something has happened since."""
    room: Room | None = None
    """What the room last held; None when it was not looked at yet."""
    room_seen: datetime | None = None
    """When the room was looked at."""
    room_stale: bool = False
    """LiveKit said that the room has changed since."""
    agent_missed: datetime | None = None
    """Since when the agent, which had joined, was not in the room at each look at it."""
    last_words: str = ""
    """The end of the agent's log, when its job was over before it joined."""
    problem: Problem | None = None
    """What keeps a new pod from being started or told."""
    wait: Wait | None = None
    """Why the session may have no pod yet; None when it has a place, or needs none."""
    room_holder: str = ""
    """The older session that has the room already, if there is one."""
    knows_livekit: bool = True
    """Whether the VoiceAgent is known; without it nobody can be asked about the room."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the status should be, what to do now, and when to look again without being asked."""

    status: VoiceSessionStatus
    actions: tuple[Action, ...] = ()
    wake: datetime | None = None
    passing: bool = False
    """The status is about to be replaced: it need not be written before ``wake``."""


def copied(status: VoiceSessionStatus) -> VoiceSessionStatus:
    """Return a copy whose own parts may be changed; Python's deep copy takes ten times as long.

    What the lists hold is replaced, and never changed; so is the ledger.
    """
    return status.model_copy(
        update={
            "times": status.times.model_copy(),
            "conditions": [*status.conditions],
            "lost": [*status.lost],
        }
    )


def exactly(created: datetime, now: datetime) -> datetime:
    """Return when an object was made.

    The API server cuts off the fraction of a second. Objects are mostly seen milliseconds after
    they were made, and so it is the latest moment that this leaves.
    """
    return max(created, min(now, created + timedelta(seconds=1)))


def owned_since(pod: Pod, now: datetime) -> datetime:
    """Return when a session got its pod: it claimed it, or the pod was made for it."""
    return pod.claimed or exactly(pod.created, now)


def has_pod(status: VoiceSessionStatus) -> bool:
    """Whether the session's newest pod is still the one with its agent, by what is written."""
    lost = status.lost
    return status.generation > 0 and (not lost or lost[-1].generation < status.generation)


def in_room(status: VoiceSessionStatus) -> bool:
    """Whether the session's present agent has joined its room."""
    return has_pod(status) and status.generation == status.joined


@dataclass(slots=True)
class Draft:
    """A decision in the making."""

    observed: Observed
    status: VoiceSessionStatus
    actions: list[Action] = field(default_factory=list)
    wakes: list[datetime] = field(default_factory=list)
    passing: bool = False

    def phase(self, phase: Phase, reason: Reason, message: str) -> None:
        """Set the phase, with its reason."""
        self.status.phase, self.status.reason, self.status.message = phase, reason, message

    def condition(self, type_: ConditionType, true: bool, reason: Reason, message: str) -> None:
        """Set a condition."""
        self.status.conditions = with_condition(
            self.status.conditions, type_, true, reason, message, self.observed.now
        )

    def after(self, start: datetime, field_: str) -> bool:
        """Whether a duration of the lifecycle is over; if not, wake when it is."""
        return self.over(start, timedelta(seconds=self.observed.lifecycle.seconds(field_)))

    def over(self, start: datetime | float, duration: timedelta) -> bool:
        """Whether a duration is over; if not, wake when it is. A number is Unix seconds."""
        if isinstance(start, float):
            start = from_unix(start)
        over = start + duration
        if over > self.observed.now:
            self.wakes.append(over)
        return over <= self.observed.now

    def decision(self) -> Decision:
        """Return it as it is now."""
        wake = min(self.wakes, default=None)
        return Decision(self.status, tuple(self.actions), wake, self.passing)

    @property
    def in_room(self) -> bool:
        """Whether the session's present agent has joined its room."""
        return in_room(self.status)

    def is_ours(self, room: Room) -> bool:
        """Whether a room is the session's, and none that has its name by now."""
        return bool(room.sid) and room.sid == self.status.room_sid

    def may_be_open(self) -> bool:
        """Whether the room may be open, and LiveKit can be asked to do something to it."""
        room = self.observed.room
        return self.observed.knows_livekit and (room is None or self.is_ours(room))
