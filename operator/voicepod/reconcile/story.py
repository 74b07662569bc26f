"""The Events of a session: what ``kubectl describe`` tells, from one status to the next. Pure.

An Event is a write to the API server, which calls are made of. A call that goes as it should, until
its caller is gone, is told by its status, which is kept as long as an Event is; whatever somebody
may want to look into has its own.
"""

from typing import Final

from voicepod.api.conditions import ConditionType, Reason, condition
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.kube.events import Note

# How calls mostly end.
_CALLER_IS_GONE: Final = frozenset({Reason.CALLER_LEFT, Reason.ROOM_CLOSED})

# What every pod goes through on its way is nothing to warn of.
USUAL: Final = frozenset({Reason.POD_STARTING, Reason.AGENT_NOT_REGISTERED})


def notes_between(old: VoiceSessionStatus, new: VoiceSessionStatus) -> list[Note]:
    """Return what there is to say when a session's status changes."""
    notes = [*_complaints(old, new)]
    if new.pod and new.pod != old.pod and not new.times.joined:
        notes.append(Note("PodStarted", f"pod {new.pod} starts for the call"))
    notes.extend(
        Note("AgentLost", f"{loss.message}; its pod was {loss.pod}", warning=True)
        for loss in new.lost[len(old.lost) :]
    )
    if old.joined and new.joined > old.joined:
        notes.append(Note("CallTakenOver", f"the agent of pod {new.pod} has taken the call over"))
    if new.phase is not old.phase:
        notes.extend(_turn(old.phase, new))
    return notes


def _complaints(old: VoiceSessionStatus, new: VoiceSessionStatus) -> list[Note]:
    notes = []
    for type_ in (ConditionType.ACCEPTED, ConditionType.POD_READY):
        now, before = condition(new.conditions, type_), condition(old.conditions, type_)
        if now is None or now.status == "True" or now.reason in USUAL:
            continue
        if before is None or (before.status, before.reason) != (now.status, now.reason):
            notes.append(Note(now.reason, now.message, warning=True))
    return notes


def _ledger(status: VoiceSessionStatus) -> str:
    """Return the end of a session in a sentence: why, where, and how long what took."""
    times, words = status.times, [status.message]
    if status.pod:
        words.append(f"pod {status.pod} on node {status.node or '(none)'}")
    if times.received and times.joined:
        after = (times.joined - times.received).total_seconds()
        words.append(f"the agent was in the room {after:.1f} s after the session was made")
    if times.joined and times.ended:
        words.append(f"and stayed {(times.ended - times.joined).total_seconds():.0f} s")
    return "; ".join(words)


def _turn(before: Phase, new: VoiceSessionStatus) -> list[Note]:
    match new.phase:
        case Phase.RECONNECTING:
            return [Note("CallerAway", "the caller left; the agent waits for reconnectGrace")]
        case Phase.ACTIVE if before is Phase.RECONNECTING:
            return [Note("CallerBack", "the caller is back")]
        case Phase.ENDED if new.end_reason not in _CALLER_IS_GONE:
            return [Note(str(new.end_reason), _ledger(new))]
        case Phase.FAILED:
            return [Note(str(new.end_reason), _ledger(new), warning=True)]
        case _:
            return []
