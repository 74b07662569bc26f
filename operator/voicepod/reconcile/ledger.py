"""The ledger: what a session's pods are used for, to the second.

Which use it is follows from the status alone, and so only the moments count at which it changes.
At each of them the status is written anyway: the ledger costs no write.
"""

from datetime import datetime
from enum import StrEnum

from voicepod.api.session import Phase, PodSeconds, VoiceSessionStatus
from voicepod.reconcile.draft import Draft, has_pod, in_room, owned_since


class Use(StrEnum):
    """What a pod is there for."""

    WARM = "warm"
    """It waited for any session, and then this one claimed it; its start is in it."""
    TALKING = "talking"
    """A caller is in the room with the agent."""
    WAITING = "waiting"
    """A session has it, and nobody talks: at the start, between two callers, at the goodbye."""
    UNCLAIMED = "unclaimed"
    """It waited for any session, and none ever came."""


def keep_ledger(draft: Draft) -> None:
    """Count the seconds of a use that is over."""
    before, status, now = draft.observed.status, draft.status, draft.observed.now
    use, pod = _use_of(before), draft.observed.pod
    if pod and status.generation != before.generation:
        owned = owned_since(pod, now)
        _turn(status, use, Use.WAITING, owned)
        if pod.claimed:
            _add(status, Use.WARM, pod.created, owned)
        use = Use.WAITING
    if (after := _use_of(status)) is not use:
        _turn(status, use, after, now)


def _use_of(status: VoiceSessionStatus) -> Use | None:
    """Return what the session's pod is there for; None when it has none."""
    if status.phase.finished or not has_pod(status):
        return None
    with_caller = status.times.caller is not None and status.times.left is None
    if in_room(status) and with_caller and status.phase is not Phase.ENDING:
        return Use.TALKING
    return Use.WAITING


def _turn(status: VoiceSessionStatus, before: Use | None, after: Use | None, at: datetime) -> None:
    since = status.pod_seconds.since if status.pod_seconds else None
    if before and since:
        _add(status, before, since, at)
    ledger = status.pod_seconds or PodSeconds()
    status.pod_seconds = ledger.model_copy(update={"since": at if after else None})


def _add(status: VoiceSessionStatus, use: Use, start: datetime, end: datetime) -> None:
    ledger = status.pod_seconds or PodSeconds()
    # The clocks of API server and operator may differ by more than a short use takes.
    seconds = max(0.0, (end - start).total_seconds())
    # Milliseconds are what a status holds of any moment.
    total = round(getattr(ledger, use) + seconds, 3)
    status.pod_seconds = ledger.model_copy(update={use.value: total})
