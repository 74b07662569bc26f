"""The Events of a session: what ``kubectl describe`` tells, from one status to the next. Pure."""

from typing import Final

from voicepod.api.conditions import ConditionType, Reason, condition
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.kube.events import Note

# What every pod goes through on its way is nothing to warn of.
_USUAL: Final = frozenset({Reason.POD_STARTING, Reason.AGENT_NOT_REGISTERED})


def notes_between(old: VoiceSessionStatus, new: VoiceSessionStatus) -> list[Note]:
    """Return what there is to say when a session's status changes."""
    notes = [*_complaints(old, new)]
    if new.pod and new.pod != old.pod:
        notes.append(Note("PodStarted", f"pod {new.pod} takes the call"))
    if new.times.joined and not old.times.joined:
        notes.append(Note("AgentJoined", f"the agent is in the room{_after(new)}"))
    if new.phase is not old.phase:
        notes.extend(_turn(old.phase, new))
    return notes


def _complaints(old: VoiceSessionStatus, new: VoiceSessionStatus) -> list[Note]:
    notes = []
    for type_ in (ConditionType.ACCEPTED, ConditionType.POD_READY):
        now, before = condition(new.conditions, type_), condition(old.conditions, type_)
        if now is None or now.status == "True" or now.reason in _USUAL:
            continue
        if before is None or (before.status, before.reason) != (now.status, now.reason):
            notes.append(Note(now.reason, now.message, warning=True))
    return notes


def _after(status: VoiceSessionStatus) -> str:
    received, joined = status.times.received, status.times.joined
    if received is None or joined is None:
        return ""
    return f" {(joined - received).total_seconds():.1f} s after the session was made"


def _turn(before: Phase, new: VoiceSessionStatus) -> list[Note]:
    match new.phase:
        case Phase.RECONNECTING:
            return [Note("CallerAway", "the caller left; the agent waits for reconnectGrace")]
        case Phase.ACTIVE if before is Phase.RECONNECTING:
            return [Note("CallerBack", "the caller is back")]
        case Phase.ENDED:
            return [Note(str(new.end_reason), new.message)]
        case Phase.FAILED:
            return [Note(str(new.end_reason), new.message, warning=True)]
        case _:
            return []
