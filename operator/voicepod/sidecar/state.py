"""The pod's one life, as a state machine without I/O.

::

    starting ⇄ warm ─▶ offered ─▶ accepted ─▶ running ─▶ ending
        └─────────────────┴──────────┴───────────┴─────────┴──▶ ended, lost

A pod is ``lost`` when its agent goes away unasked or is as good as gone (``health``), and ``ended``
by everything else: the agent has ended or refused its job, or the pod was told to end, which takes
a while only when a job runs.
There is no way back from either: a pod takes one call.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from voicepod.assignment.messages import (
    Accepted,
    AgentInfo,
    Assignment,
    End,
    EndReason,
    JobInfo,
    PodState,
    PodStatus,
    RefusalReason,
    Timestamps,
    Tokens,
)
from voicepod.sidecar.health import Beat, Health

_OVER: Final = frozenset({PodState.ENDED, PodState.LOST})
_WITH_JOB: Final = frozenset({PodState.OFFERED, PodState.ACCEPTED, PodState.RUNNING})
_LOST: Final = frozenset({EndReason.AGENT_GONE, EndReason.AGENT_HUNG, EndReason.AGENT_SILENT})
_FINISHED: Final = {
    "JS_SUCCESS": EndReason.JOB_FINISHED,
    "JS_CANCELLED": EndReason.JOB_FINISHED,
    "JS_FAILED": EndReason.JOB_FAILED,
}

# The refusals that say what has become of the pod.
_REFUSALS: Final = {
    EndReason.AGENT_GONE: RefusalReason.AGENT_GONE,
    EndReason.AGENT_REFUSED: RefusalReason.AGENT_REFUSED,
    EndReason.ACCEPTANCE_EXPIRED: RefusalReason.ACCEPTANCE_EXPIRED,
}


class Refused(Exception):  # noqa: N818 - named by what happened to the request
    """The pod says no to a request."""

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Pod:
    """What has happened so far, and what may happen next.

    Methods that a request leads to raise Refused; those that report an event pass over what comes
    too late to matter.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock`` returns Unix seconds."""
        self._clock = clock
        self._at = Timestamps()
        self._end: End | None = None
        self._end_message = ""
        self._health = Health()
        self._checkpoint: str | None = None
        self.state = PodState.STARTING
        self.agent = AgentInfo()
        self.assignment: Assignment | None = None
        self.job: JobInfo | None = None
        self.room_deletion_requested = False
        self.stopping = False

    @property
    def over(self) -> bool:
        """Nothing more will happen to this pod."""
        return self.state in _OVER

    @property
    def has_joined(self) -> bool:
        """The agent was seen in its room."""
        return self._at.joined is not None

    @property
    def silent(self) -> bool:
        """The agent has reported nothing of its job: its SDK does not, or there was no time."""
        return self.job is None or self.job.status == "JS_PENDING"

    @property
    def idle(self) -> bool:
        """Nobody has spoken for as long as the session allows."""
        most = self.assignment.idle_timeout if self.assignment else 0.0
        return self.state is PodState.RUNNING and 0.0 < most <= self._health.quiet

    @property
    def checkpoint(self) -> str | None:
        """The conversation so far: the agent's own, or the one that it was to go on with."""
        if self._checkpoint is None and self.assignment:
            return self.assignment.checkpoint
        return self._checkpoint

    def status(self) -> PodStatus:
        """Return all of it."""
        assignment = self.assignment
        return PodStatus(
            state=self.state,
            session=assignment.session if assignment else None,
            generation=assignment.generation if assignment else 0,
            agent=self.agent,
            job=self.job,
            at=self._at,
            end=self._end,
            room_deletion_requested=self.room_deletion_requested,
            stopping=self.stopping,
            idle=self.idle,
            speech=self._health.speech,
        )

    def why_no_agent(self) -> str | None:
        """Return why no agent may register now, or None if one may."""
        if self.over:
            return f"this pod is {self.state} and takes no agent any more"
        if self.state not in (PodState.STARTING, PodState.WARM):
            return "an agent is registered already, and it has a job"
        return None

    def register(self, name: str, version: str) -> None:
        """An agent has registered: the first one, or one in the place of an idle one."""
        self.agent = AgentInfo(True, name, version)
        self._at = replace(self._at, registered=self._at.registered or self._clock())
        self.state = PodState.WARM

    def disconnect(self) -> None:
        """The agent's websocket has closed."""
        self.agent = replace(self.agent, connected=False)
        if self.state is PodState.WARM:
            self.state = PodState.STARTING
        elif self.state is PodState.ENDING:
            self._close(EndReason.TERMINATED, self._end_message)
        elif self.state in _WITH_JOB:
            self._close(EndReason.AGENT_GONE, f"the agent went away while its job was {self.state}")

    def give_up(self) -> None:
        """An agent that was registered has not come back."""
        if self.state is PodState.STARTING:
            self._close(EndReason.AGENT_GONE, "the agent went away before it had a job")

    def assign(self, assignment: Assignment) -> bool:
        """Take the assignment. Returns False if it is the one that the pod has already."""
        if self.assignment is not None:
            mine = self.assignment.session.uid, self.assignment.generation
            if mine == (assignment.session.uid, assignment.generation):
                return False
            raise Refused(
                RefusalReason.ALREADY_ASSIGNED,
                f"this pod belongs to session {self.assignment.session.name}, "
                f"generation {self.assignment.generation}",
            )
        if self.over:
            raise self.why_over()
        if self.state is not PodState.WARM:
            raise Refused(RefusalReason.AGENT_NOT_READY, "no agent is registered")
        self.assignment = assignment
        self.state = PodState.OFFERED
        self._at = replace(self._at, assigned=self._clock())
        return True

    def accept(self, accepted: Accepted) -> None:
        """The agent takes the job."""
        if self.state is not PodState.OFFERED:
            raise self.why_over()
        assert self.assignment is not None
        self.job = JobInfo(self.assignment.job_id, accepted.identity)
        self.state = PodState.ACCEPTED
        self._at = replace(self._at, accepted=self._clock())

    def refuse(self, message: str) -> None:
        """The agent does not take the job."""
        if self.state is PodState.OFFERED:
            self._close(EndReason.AGENT_REFUSED, message)

    def expire(self) -> None:
        """The agent no longer waits for the token of the job that it accepted."""
        if self.state is PodState.ACCEPTED:
            self._close(EndReason.ACCEPTANCE_EXPIRED, "no token came after the agent had accepted")

    def dispatch(self, tokens: Tokens, identity: str) -> bool:
        """Take the tokens, which join as ``identity``. Returns False if they were taken before."""
        assignment = self.assignment
        if (
            assignment is None
            or (assignment.session.uid, assignment.generation)
            != (tokens.session_uid, tokens.generation)
            or self.state is PodState.OFFERED
        ):
            raise Refused(
                RefusalReason.NOT_ASSIGNED,
                "this session and generation have no accepted assignment here",
            )
        if self._at.dispatched is not None:
            return False
        if self.state is not PodState.ACCEPTED:
            raise self.why_over()
        assert self.job is not None
        self.job = replace(self.job, identity=identity)
        self.state = PodState.RUNNING
        self._at = replace(self._at, dispatched=self._clock())
        return True

    def report(self, job_id: str, status: str, error: str) -> None:
        """The agent says how its job is doing."""
        if self.job is None or self.job.id != job_id or self.over:
            return
        self.job = replace(self.job, status=status, error=error)
        if status not in _FINISHED:
            return
        if self.state is PodState.ENDING:
            self._close(EndReason.TERMINATED, self._end_message)
        elif self.state is PodState.RUNNING:
            self._close(_FINISHED[status], error or "the agent has ended its job")

    def keep(self, checkpoint: str) -> bool:
        """The agent tells the conversation so far. Returns False if this pod has no job."""
        if self.state not in (PodState.RUNNING, PodState.ENDING):
            return False
        self._checkpoint = checkpoint
        return True

    def beat(self, beat: Beat) -> None:
        """The runtime in the agent's process tells how it is."""
        self._health.beat(beat)
        self._judge()

    def tick(self) -> None:
        """``health.TICK`` seconds have passed."""
        self._health.tick()
        self._judge()

    def _judge(self) -> None:
        if self.state is PodState.RUNNING and (end := self._health.verdict()):
            self._close(end.reason, end.message)

    def see(self, joined_at: float, audio: bool) -> None:
        """The agent is in its room, ``joined_at`` by the clock of LiveKit, with or without audio.

        That clock is more precise than asking now and then, but it may go wrong: what is written
        down is never before the dispatch nor after now.
        """
        now = self._clock()
        if not self.has_joined:
            earliest = self._at.dispatched or now
            self._at = replace(self._at, joined=min(max(joined_at, earliest), now))
        if audio and self._at.first_audio is None:
            self._at = replace(self._at, first_audio=now)

    def leave(self) -> None:
        """The agent is not in its room, after it was told to end its job."""
        if self.state is PodState.ENDING:
            self._close(EndReason.TERMINATED, self._end_message)

    def end(self, message: str) -> None:
        """The pod is to end; the first one to say so is the one remembered."""
        if self.over or self.state is PodState.ENDING:
            return
        if self.state is PodState.RUNNING:
            self.state = PodState.ENDING
            self._end_message = message
        else:
            self._close(EndReason.TERMINATED, message)

    def why_over(self) -> Refused:
        """Return what a request to a pod is told that is over."""
        assert self._end is not None
        reason = _REFUSALS.get(self._end.reason, RefusalReason.ENDED)
        return Refused(reason, self._end.message)

    def _close(self, reason: EndReason, message: str) -> None:
        self.state = PodState.LOST if reason in _LOST else PodState.ENDED
        self._end = End(reason, message)
        self._at = replace(self._at, ended=self._clock())
