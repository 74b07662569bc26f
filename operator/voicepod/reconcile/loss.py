"""When an agent counts as lost, and what is done then: another pod takes its call over.

The agent's own word is not enough: one that leaves after its caller has done its work, and an
entrypoint that raises reports success. So an end of the agent, its job or its pod makes the room
stale (``Record``), and means nothing before the room was looked at once more.

The replacement joins under the same identity, upon which LiveKit puts the one before out. An agent
whose pod is merely being stopped talks on until then: that is silence for a moment only, however
long a new pod takes to come up. Any other one is put out at once, lest it comes back to life, or
stays beside the next one because it has chosen an identity of its own.
"""

from datetime import datetime, timedelta
from typing import Final

from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.session import Loss, Phase
from voicepod.livekit.tokens import agent_identity
from voicepod.reconcile.actions import DeletePod, EvictAgent, KeepCheckpoint, LookAtRoom
from voicepod.reconcile.draft import Draft, Observed
from voicepod.reconcile.objects import Problem

# An agent that has its token is in the room within a second, or some on a starved machine. One that
# is not there after this is not on its way.
_JOIN_PATIENCE: Final = timedelta(seconds=15)

# A client that lost its connection is back in its room within a few seconds, if it ever is.
_RETURN_PATIENCE: Final = timedelta(seconds=5)

# The first replacement comes at once: a caller is waiting. What fails again and again is not the
# pod's fault, and needs its time.
_FIRST_PAUSE: Final = timedelta(seconds=1)


def why_lost(draft: Draft) -> Problem | None:
    """Return why the session's agent will not talk (any more), or None while it may."""
    observed = draft.observed
    if observed.knows_livekit and (observed.room_stale or observed.room is None):
        return None
    return _of_pod(draft) or _of_job(observed) or _of_join(draft) or _of_room(draft)


def _of_pod(draft: Draft) -> Problem | None:
    pod = draft.observed.pod
    if pod is None:
        return Problem(Reason.AGENT_LOST, "the agent's pod is gone") if draft.in_room else None
    if pod.finished:
        return pod.problem or Problem(Reason.AGENT_LOST, "the agent's container has ended")
    if pod.deleting:
        return Problem(Reason.AGENT_LOST, "somebody deleted the agent's pod")
    return None


def _of_job(observed: Observed) -> Problem | None:
    call = observed.call
    if call is None or observed.pod is None:
        return None
    if call.stopping:
        # A node that shuts down ends its pods without deleting them.
        return Problem(Reason.AGENT_LOST, "the agent's pod is being stopped")
    if not call.over:
        return None
    why = call.end.message if call.end else "the agent ended its job"
    if call.at.joined:
        return Problem(Reason.AGENT_LOST, why)
    return Problem(
        Reason.AGENT_NOT_JOINED,
        f"the agent's job ended before it joined the room: {why}; "
        f"the end of its log: {observed.last_words or 'not to be had'}",
    )


def _of_join(draft: Draft) -> Problem | None:
    call, pod = draft.observed.call, draft.observed.pod
    if draft.in_room or pod is None or call is None or call.at.dispatched is None:
        return None
    if not draft.over(call.at.dispatched, _JOIN_PATIENCE):
        return None
    return Problem(
        Reason.AGENT_NOT_JOINED,
        f"the agent has the job and is not in the room; see the log of {pod.key[1]}",
    )


def _of_room(draft: Draft) -> Problem | None:
    """What nobody told of: not every SDK reports a job's end, and hints may get lost."""
    observed, missed = draft.observed, draft.observed.agent_missed
    if missed is None or not (draft.in_room and observed.room and observed.room.callers):
        return None
    if not draft.over(missed, _RETURN_PATIENCE):
        return None
    if observed.room_seen and observed.room_seen >= missed + _RETURN_PATIENCE:
        return Problem(Reason.AGENT_LOST, "the agent has left the room, and its caller is there")
    draft.actions.append(LookAtRoom())
    return None


def is_given_up(draft: Draft) -> bool:
    """Whether no further agent is to be tried."""
    return len(draft.status.lost) >= draft.observed.lifecycle.max_replacements


def all_losses(draft: Draft, last: Problem) -> str:
    """Return a sentence about the last agent that was lost, and why those before it were.

    Their own words stand in ``status.lost``; an Event has no room for all of them.
    """
    lost = draft.status.lost
    before = ", ".join(one.reason for one in lost)
    return f"{last.message}; after {len(lost)} replacements ({before})" if lost else last.message


def replace_agent(draft: Draft, problem: Problem) -> None:
    """Give the agent up; the session needs another pod, which the next round claims."""
    observed, status = draft.observed, draft.status
    talks_on = draft.in_room and _talks_on(draft)
    if draft.in_room and status.identity and draft.may_be_open() and not talks_on:
        draft.actions.append(EvictAgent())
    if observed.pod and draft.in_room:
        draft.actions.append(KeepCheckpoint(observed.pod))
    if observed.pod and not observed.pod.deleting:
        draft.actions.append(DeletePod(observed.pod, at_once=not talks_on))
    status.lost.append(
        Loss(
            generation=status.generation,
            pod=status.pod,
            template=status.template,
            reason=problem.reason,
            message=problem.message,
            at=observed.now,
        )
    )
    message = f"{problem.message}; another agent takes the call over"
    draft.phase(Phase.STARTING, problem.reason, message)
    draft.condition(ConditionType.ACTIVE, False, problem.reason, message)


def _talks_on(draft: Draft) -> bool:
    """Whether the agent is well, and may stay until another one's join puts it out."""
    observed = draft.observed
    pod, call = observed.pod, observed.call
    if pod is None or pod.finished or call is None or call.over:
        return False
    stopped = pod.deleting or call.stopping
    return stopped and draft.status.identity == agent_identity(observed.session.spec.room)


def pause_is_over(draft: Draft) -> bool:
    """Whether the next agent may be tried; if not, wake when it may."""
    lost = draft.status.lost
    if len(lost) < 2:
        return True
    pause: timedelta = _FIRST_PAUSE * 2 ** (len(lost) - 2)
    return draft.over(lost[-1].at, pause)


def last_loss(draft: Draft) -> datetime | None:
    """Return when the session was left without an agent, if none was claimed since."""
    lost = draft.status.lost
    return lost[-1].at if lost and draft.observed.pod is None else None
