"""What should happen to a session next. Pure: the same observation always gives the same decision.

The way of a session, and where each part of it is decided::

    Pending ──▶ (Queued) ──▶ Starting ──▶ Active ⇄ Reconnecting ──▶ Ending ──▶ Ended | Failed
    _prepare    _queue    ▲  _start    │  _run           │          _end        _tidy
                          └────────────┴─ replace_agent ─┘

What happened is read from outside first (``_learn``): pods, sidecars and rooms are the truth, and
the status only remembers what they can no longer tell.
"""

from datetime import datetime, timedelta
from typing import Final

from voicepod.api.base import from_unix
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.session import InLine, Phase
from voicepod.assignment.messages import PodState, PodStatus
from voicepod.reconcile.actions import (
    Assign,
    ClaimPod,
    CloseRoom,
    DeletePod,
    DeleteSession,
    EndJob,
    EvictAgent,
    LookAtPod,
    LookAtRoom,
    OpenRoom,
)
from voicepod.reconcile.capacity import POSITION_PERIOD, Wait
from voicepod.reconcile.draft import Decision, Draft, Observed, copied, exactly, owned_since
from voicepod.reconcile.ledger import keep_ledger
from voicepod.reconcile.loss import (
    all_losses,
    is_given_up,
    last_loss,
    pause_is_over,
    replace_agent,
    why_lost,
)
from voicepod.reconcile.objects import Pod, Problem

# A sidecar tells at once what happens, but its hint may get lost: while something is awaited from
# it, it is asked as well. The operator pays for this only during the seconds of a start or an end.
_ASK_AGAIN: Final = timedelta(seconds=2)

# The next step of a call is often a moment away. A status that the next one replaces within this
# time is not written: nobody has seen it, and API writes are the scarce thing.
_MOMENT: Final = timedelta(seconds=1)

# The end of a call that is not the agent's or the pod's fault.
_ENDED: Final = frozenset(
    {
        Reason.CALLER_LEFT,
        Reason.CALLER_NEVER_CAME,
        Reason.ROOM_CLOSED,
        Reason.ROOM_TAKEN,
        Reason.IDLE_TIMEOUT,
        Reason.MAX_DURATION,
        Reason.REQUESTED,
        Reason.AGENT_CLOSED_ROOM,
    }
)


# What somebody has to mend outside of the pod.
_OUTSIDE: Final = frozenset(
    {
        Reason.AGENT_NOT_FOUND,
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_FORBIDDEN,
        Reason.SECRET_KEY_MISSING,
        Reason.LIVEKIT_UNREACHABLE,
        Reason.LIVEKIT_UNAUTHORIZED,
        Reason.TEMPLATE_REFUSED,
        Reason.POD_NOT_CREATED,
    }
)


def decide(observed: Observed) -> Decision:
    """Return what should happen to a session next."""
    draft = Draft(observed, copied(observed.status))
    draft.actions.extend(DeletePod(pod, at_once=True) for pod in observed.older)
    if draft.status.phase.finished:
        _tidy(draft)
        return draft.decision()
    _learn(draft)
    over, lost = _why_over(draft), why_lost(draft)
    if over is None and lost and (is_given_up(draft) or not observed.knows_livekit):
        over = lost.reason, all_losses(draft, lost)
    if over is not None:
        _end(draft, *over)
    elif lost:
        replace_agent(draft, lost)
    elif draft.in_room:
        _run(draft)
    elif observed.pod is None or not draft.status.room_sid:
        _prepare(draft)
    else:
        _start(draft, observed.pod)
    _look(draft)
    keep_ledger(draft)
    return draft.decision()


def _learn(draft: Draft) -> None:
    """Take over what pods, sidecars and rooms say."""
    observed, status, times = draft.observed, draft.status, draft.status.times
    times.received = times.received or exactly(observed.session.created, observed.now)
    status.room_sid = status.room_sid or observed.session.spec.room_sid
    if observed.wait:
        # Once more, if it could not start when it was its turn.
        times.placed = None
    else:
        status.queue = None
        if times.queued and not times.claimed:
            times.placed = times.placed or observed.now
    if pod := observed.pod:
        times.claimed = times.claimed or owned_since(pod, observed.now)
        status.pod, status.node, status.generation = pod.key[1], pod.node, pod.generation
        status.template = pod.template_hash
    if call := observed.call:
        at = call.at
        times.assigned = times.assigned or (from_unix(at.assigned) if at.assigned else None)
        times.joined = times.joined or (from_unix(at.joined) if at.joined else None)
        if at.joined and observed.pod:
            status.joined = observed.pod.generation
        if at.first_audio:
            audio = from_unix(at.first_audio)
            times.first_audio = times.first_audio or audio
            status.lost = [
                loss if loss.taken_over else loss.model_copy(update={"taken_over": audio})
                for loss in status.lost
            ]
        if call.job and at.dispatched:
            # Until then it is that of the one before, who may be in the room.
            status.identity = call.job.identity
    if room := observed.room:
        status.room_sid = status.room_sid or room.sid
        if draft.is_ours(room) and room.callers:
            times.caller = times.caller or observed.now
            times.left = None
        elif times.caller or observed.session.room_changed:
            # The gateway tells only of callers: one who came and left between two looks was there.
            times.left = times.left or observed.now


def _job_over(call: PodStatus | None) -> bool:
    return call is not None and call.over


def _why_over(draft: Draft) -> tuple[Reason, str] | None:
    """Return why the session is over, or None while it goes on."""
    observed, status, times = draft.observed, draft.status, draft.status.times
    room, call = observed.room, observed.call
    if status.phase is Phase.ENDING and status.end_reason:
        return status.end_reason, status.message
    if observed.session.spec.end:
        return Reason.REQUESTED, "spec.end was set"
    if observed.session.deleting:
        return Reason.REQUESTED, "the VoiceSession was deleted"
    if observed.room_holder:
        return (
            Reason.ROOM_TAKEN,
            f"the room has the VoiceSession {observed.room_holder} already",
        )
    if call and call.room_deletion_requested:
        return Reason.AGENT_CLOSED_ROOM, "the agent closed the room"
    if room and (status.room_sid or draft.in_room) and not draft.is_ours(room):
        return Reason.ROOM_CLOSED, "the room was closed"
    unsure = observed.room_stale and observed.knows_livekit
    left = None if unsure else times.left
    if left and (_job_over(call) or _still_alone_after(draft, left, "reconnect_grace")):
        return Reason.CALLER_LEFT, "the caller left"
    if times.joined:
        if _is_idle(draft):
            return Reason.IDLE_TIMEOUT, "nobody has spoken for idleTimeout"
        if _is_time_to_say_goodbye(draft, times.joined):
            return Reason.MAX_DURATION, "the call reached maxDuration"
        never = not times.caller and not unsure
        if never and _still_alone_after(draft, times.joined, "start_deadline"):
            return Reason.CALLER_NEVER_CAME, "no caller came within startDeadline"
    waiting = None if draft.in_room else _waiting_since(draft)
    if waiting and draft.after(waiting, "start_deadline") and not _may_have_joined(draft, waiting):
        why = _what_is_missing(draft)
        return why.reason, f"no agent was in the room within startDeadline: {why.message}"
    # One that has a pod has its place.
    return _why_turned_away(draft, observed.wait) if observed.wait and not observed.pod else None


def _why_turned_away(draft: Draft, wait: Wait) -> tuple[Reason, str] | None:
    """Return why a session gets no place, or None while it may wait for one."""
    times = draft.status.times
    if wait.rejects and not times.queued:
        return wait.reason, wait.message
    if draft.over(times.queued or draft.observed.now, wait.deadline):
        return Reason.QUEUE_DEADLINE, f"it was not its turn within queueDeadline: {wait.message}"
    return None


def _may_have_joined(draft: Draft, waiting: datetime) -> bool:
    """Whether the agent may be in the room after all; its sidecar is asked then.

    Its hint may have got lost, or the operator that was told is gone.
    """
    observed = draft.observed
    pod, seen = observed.pod, observed.call_seen
    if pod is None or not pod.ready or pod.finished or observed.problem:
        return False
    due = waiting + timedelta(seconds=observed.lifecycle.seconds("start_deadline"))
    if seen and seen >= due:
        return False
    _ask_pod(draft)
    return True


def _is_idle(draft: Draft) -> bool:
    """Whether nobody speaks, by the sidecar's word of just now.

    When the end could not be written, somebody may have spoken since.
    """
    observed = draft.observed
    if observed.pod is None or observed.call is None or not observed.call.idle:
        return False
    if observed.call_seen and not draft.over(observed.call_seen, _ASK_AGAIN):
        return True
    _ask_pod(draft)
    return False


def _is_time_to_say_goodbye(draft: Draft, joined: datetime) -> bool:
    """Whether no more is left of the longest call than the agent may speak for."""
    return draft.over(joined, draft.observed.lifecycle.talk)


def _waiting_since(draft: Draft) -> datetime | None:
    """Return since when an agent should be on its way to the room; None before the first claim."""
    pod, times = draft.observed.pod, draft.status.times
    if draft.status.lost and pod:
        return owned_since(pod, draft.observed.now)
    return last_loss(draft) or times.claimed


def _still_alone_after(draft: Draft, start: datetime, duration: str) -> bool:
    """Whether a duration is over and no caller is there, by a look at the room since then.

    What was known before may be wrong: the webhook of a caller who came back may have got lost.
    """
    observed = draft.observed
    if not draft.after(start, duration):
        return False
    due = start + timedelta(seconds=observed.lifecycle.seconds(duration))
    if not observed.knows_livekit or (observed.room_seen and observed.room_seen >= due):
        return True
    draft.actions.append(LookAtRoom())
    return False


def _what_is_missing(draft: Draft) -> Problem:
    observed, pod = draft.observed, draft.observed.pod
    if pod and pod.finished and pod.problem:
        # Whatever else went wrong did so because of this.
        return pod.problem
    if observed.problem:
        return observed.problem
    if pod is None:
        return Problem(Reason.POD_STARTING, "the pod went away while it was starting")
    if pod.problem:
        return pod.problem
    return Problem(
        Reason.AGENT_NOT_JOINED,
        f"the agent has the job and is not in the room; see the log of {pod.key[1]}",
    )


def _prepare(draft: Draft) -> None:
    """Open the room if nobody has, then claim a pod when there is a place.

    A pod may be there already: the operator that claimed it was gone before it wrote down the sid.
    """
    observed, status = draft.observed, draft.status
    if observed.problem:
        draft.phase(Phase.PENDING, observed.problem.reason, observed.problem.message)
        draft.condition(
            ConditionType.ACCEPTED, False, observed.problem.reason, observed.problem.message
        )
    if not observed.knows_livekit:
        return
    if not status.room_sid:
        draft.actions.append(OpenRoom())
    elif observed.wait:
        _queue(draft, observed.wait)
    elif pause_is_over(draft):
        draft.actions.append(ClaimPod(generation=status.generation + 1))


def _queue(draft: Draft, wait: Wait) -> None:
    """There is no place: wait in line. Who goes next is not decided here (``capacity``)."""
    status, now = draft.status, draft.observed.now
    status.times.queued = status.times.queued or now
    if status.queue is None or status.queue.at + POSITION_PERIOD <= now:
        status.queue = InLine(position=wait.position, at=now)
    draft.wakes.append(status.queue.at + POSITION_PERIOD)
    draft.phase(Phase.QUEUED, wait.reason, wait.message)
    if draft.observed.problem is None:
        draft.condition(ConditionType.ACCEPTED, True, Reason.ACCEPTED, "it waits for a place")
    draft.condition(ConditionType.ACTIVE, False, wait.reason, wait.message)


def _start(draft: Draft, pod: Pod) -> None:
    """A pod is on its way: give it the job as soon as its agent has registered."""
    observed = draft.observed
    missing = _what_is_missing(draft)
    assigned = observed.call is not None and observed.call.at.dispatched is not None
    # The sidecar tells that the agent has registered up to a second before the kubelet's probe.
    registered = pod.ready or (observed.call is not None and observed.call.agent.connected)
    if registered and not pod.finished and not pod.deleting:
        draft.condition(ConditionType.POD_READY, True, Reason.READY, "the agent has registered")
        if not assigned and not _job_over(observed.call):
            draft.actions.append(Assign())
    elif pod.problem:
        draft.condition(ConditionType.POD_READY, False, pod.problem.reason, pod.problem.message)
    if observed.problem and observed.problem.reason in _OUTSIDE:
        draft.condition(
            ConditionType.ACCEPTED, False, observed.problem.reason, observed.problem.message
        )
    else:
        draft.condition(ConditionType.ACCEPTED, True, Reason.ACCEPTED, "a pod was started")
    draft.condition(ConditionType.ACTIVE, False, missing.reason, missing.message)
    draft.phase(Phase.STARTING, missing.reason, missing.message)
    if assigned:
        _keep_asking(draft)
        told = draft.status.times.assigned
        if told and observed.problem is None and not _job_over(observed.call):
            # The agent joins its room as a rule within a moment.
            _wait_a_moment(draft, told)


def _run(draft: Draft) -> None:
    """The agent is in the room."""
    times = draft.status.times
    if times.left:
        phase, reason, message = Phase.RECONNECTING, Reason.CALLER_AWAY, "the caller is away"
    else:
        phase, reason, message = Phase.ACTIVE, Reason.IN_CALL, "the agent is in the room"
    draft.phase(phase, reason, message)
    draft.condition(ConditionType.ACCEPTED, True, Reason.ACCEPTED, "a pod was started")
    draft.condition(ConditionType.POD_READY, True, Reason.READY, "the agent has registered")
    draft.condition(ConditionType.ACTIVE, True, reason, message)


def _keep_asking(draft: Draft) -> None:
    """Something is awaited of the sidecar: ask it now and then, should its hint get lost."""
    observed = draft.observed
    due = (observed.call_seen or observed.now) + _ASK_AGAIN
    if due <= observed.now:
        _ask_pod(draft)
    else:
        draft.wakes.append(due)


def _ask_pod(draft: Draft) -> None:
    """Have the sidecar asked, if nobody has wanted that already."""
    if LookAtPod() not in draft.actions:
        draft.actions.append(LookAtPod())


def _wait_a_moment(draft: Draft, since: datetime) -> None:
    """Let the status wait for what follows soon."""
    draft.passing = not draft.over(since, _MOMENT)


def _look(draft: Draft) -> None:
    """Ask again what somebody said has changed, and what was never asked."""
    observed, status, wanted = draft.observed, draft.status, draft.actions
    pod = observed.pod
    if status.phase.finished:
        return
    if pod and pod.ip and not pod.finished and LookAtPod() not in wanted:
        unasked = observed.call is None and draft.in_room
        if observed.call_stale or unasked:
            wanted.append(LookAtPod())
    if status.phase is Phase.ENDING or not observed.knows_livekit:
        return
    if not status.room_sid and not draft.in_room:
        # Nobody has opened it yet.
        return
    urgent = any(isinstance(action, ClaimPod | Assign) for action in wanted)
    if (urgent or draft.passing) and observed.problem is None:
        # A caller may be waiting for the agent: the room is looked at when that is on its way.
        return
    if (observed.room_stale or observed.room is None) and LookAtRoom() not in wanted:
        wanted.append(LookAtRoom())


def _end(draft: Draft, reason: Reason, message: str) -> None:
    """The call is over: let the agent say goodbye, then delete the pod and close the ledger."""
    observed, status, times = draft.observed, draft.status, draft.status.times
    pod, call = observed.pod, observed.call
    draft.phase(Phase.ENDING, reason, message)
    status.end_reason = reason
    times.ending = times.ending or observed.now
    draft.condition(ConditionType.ACTIVE, False, reason, message)
    asked_to_close = reason is Reason.AGENT_CLOSED_ROOM or (
        call is not None and call.room_deletion_requested
    )
    closing = asked_to_close and draft.may_be_open()
    if closing:
        draft.actions.append(CloseRoom())
    has_job = (
        pod is not None
        and not pod.finished
        and not pod.deleting
        and (call.at.assigned if call else times.assigned) is not None
        and not _job_over(call)
    )
    if (has_job or closing) and not draft.after(times.ending, "shutdown_grace"):
        if reason is Reason.ROOM_CLOSED:
            # Nobody can come back to it and nobody is left in it: the agent was put out as well,
            # and its sidecar as a rule tells within a moment that its job is over.
            _wait_a_moment(draft, times.ending)
        if draft.passing:
            return
        if has_job and (call is None or call.state is not PodState.ENDING):
            draft.actions.append(EndJob(reason))
        elif has_job:
            _keep_asking(draft)
        return
    unreplaced = bool(status.lost) and not draft.in_room
    if (has_job or unreplaced) and status.identity and draft.may_be_open():
        # Until the pod is gone it could speak beside the agent of a caller who comes back.
        draft.actions.append(EvictAgent())
    draft.phase(Phase.ENDED if reason in _ENDED else Phase.FAILED, reason, message)
    times.ended = observed.now
    # It goes itself when its end was written, and not before; so does its pod (``_tidy``).
    kept = observed.lifecycle.seconds("ttl_after_finished")
    draft.wakes.append(observed.now + timedelta(seconds=kept))


def _tidy(draft: Draft) -> None:
    """The session is finished: no pod of it may be left, and in the end it goes itself."""
    observed, times = draft.observed, draft.status.times
    if observed.pod and not observed.pod.deleting:
        draft.actions.append(DeletePod(observed.pod))
    kept_for = times.ended or observed.session.created
    if not observed.session.deleting and draft.after(kept_for, "ttl_after_finished"):
        draft.actions.append(DeleteSession())
