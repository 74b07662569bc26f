"""A short look at a call that seems to go on: has its agent anything to tell?

An operator that begins to lead has missed what the one before was told last, and looks at each
call once. Nearly all of them go on as they did, of thousands, and for these the pod is asked and
nothing else: LiveKit's rooms are laid beside their sessions by the gateways, twice a minute.
"""

from datetime import datetime, timedelta

from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import VoiceSessionStatus
from voicepod.assignment.messages import PodState, PodStatus


def undisturbed_until(
    status: VoiceSessionStatus, call: PodStatus, lifecycle: Lifecycle
) -> datetime | None:
    """Return until when a call needs nothing if nobody tells of it; None: it needs a real look."""
    times = status.times
    if not (times.joined and times.first_audio) or times.left or not _is_as_known(status, call):
        return None
    due = times.joined + lifecycle.talk
    if times.caller:
        return due
    missed = times.joined + timedelta(seconds=lifecycle.seconds("start_deadline"))
    return min(due, missed)


def _is_as_known(status: VoiceSessionStatus, call: PodStatus) -> bool:
    """Whether the agent of the status is in the call, and its sidecar knows of nothing else."""
    wants = call.idle or call.stopping or call.room_deletion_requested
    return (
        call.state is PodState.RUNNING
        and call.generation == status.joined == status.generation
        and call.job is not None
        and call.job.identity == status.identity
        and all(loss.taken_over for loss in status.lost)
        and not wants
    )
