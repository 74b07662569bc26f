"""What the operator learns of each session, and what it counts of all those of a VoiceAgent.

Counts are kept, not made: with ten thousand calls nobody looks through all of them because one has
changed.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.assignment.messages import PodStatus
from voicepod.livekit.rooms import Room
from voicepod.reconcile.objects import Key, Packed, Problem, Session


@dataclass(slots=True)
class Roster:
    """The sessions of one VoiceAgent, and what is counted of them."""

    records: dict[Key, "Record"] = field(default_factory=dict)
    phases: Counter[Phase] = field(default_factory=Counter)
    last: datetime | None = None
    """When the youngest was made."""

    def add(self, record: "Record") -> None:
        """Take a session in."""
        self.records[record.session.key] = record
        self.phases[record.phase] += 1
        self.last = max(self.last or record.session.created, record.session.created)

    def drop(self, record: "Record") -> None:
        """Take a session out."""
        del self.records[record.session.key]
        self.phases[record.phase] -= 1

    def move(self, record: "Record", after: Phase) -> None:
        """Note that a session comes to another phase, if it was not taken out meanwhile."""
        if self.records.get(record.session.key) is record:
            self.phases[record.phase] -= 1
            self.phases[after] += 1


@dataclass(slots=True)
class Record:
    """One session, and what was learned of it since the operator started."""

    session: Session
    _roster: Roster
    """That of its VoiceAgent."""
    _status: VoiceSessionStatus | Packed
    """Packed while nothing happens to the session."""
    agent_spec: VoiceAgentSpec | None = None
    """The VoiceAgent as last seen: a live call goes on when it is deleted."""
    room: Room | None = None
    room_seen: datetime | None = None
    room_stale: bool = False
    agent_missed: datetime | None = None
    """Since when the agent, which had joined, was not in the room at each look at it."""
    call: PodStatus | None = None
    call_pod: str = ""
    """Uid of the pod that ``call`` speaks of."""
    call_seen: datetime | None = None
    call_stale: bool = False
    claim_unsure: bool = False
    """An answer got lost, of a claim or of a pod's making: the session may have a pod that is not
    known yet."""
    problem: Problem | None = None
    last_words: str = ""
    """The end of the agent's log, when its job was over before it joined."""
    checkpoint: str | None = None
    """What was said in the call before its last agent was lost."""

    @classmethod
    def of(cls, session: Session, roster: Roster) -> "Record":
        """Return the record of a session that was not known before."""
        return cls(session, roster, session.packed)

    @property
    def status(self) -> VoiceSessionStatus:
        """The operator's own idea of the status; ``session.status`` is what the API server has."""
        if isinstance(self._status, Packed):
            self._status = self._status.unpack()
        return self._status

    @status.setter
    def status(self, status: VoiceSessionStatus) -> None:
        self._set(status)

    @property
    def phase(self) -> Phase:
        """That of ``status``."""
        return self._status.phase

    def believe(self) -> None:
        """Take the API server's word for the status."""
        self._set(self.session.packed)

    def _set(self, status: VoiceSessionStatus | Packed) -> None:
        self._roster.move(self, status.phase)
        self._status = status

    def rest(self) -> None:
        """Keep what is known in little room: nothing happens to the session for now."""
        if not isinstance(self._status, Packed):
            self._status = Packed.of(self._status)
