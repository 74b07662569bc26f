"""Sidecars in memory: what they were asked, and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import jwt

from voicepod.assignment.client import PodClient
from voicepod.assignment.errors import PodError, PodRefused
from voicepod.assignment.messages import (
    Accepted,
    Act,
    AgentInfo,
    Assignment,
    End,
    EndReason,
    JobInfo,
    PodState,
    PodStatus,
    Tokens,
)


@dataclass(slots=True)
class FakeSidecar:
    """One sidecar; its agent joins as soon as it has its token, and says goodbye when told to."""

    status: PodStatus = field(default_factory=lambda: PodStatus(PodState.STARTING))
    joins: bool = True
    plain: bool = True
    """Its agent accepts as ``Accepted.plainly`` says."""
    identity: str = ""
    """What one that is not plain wants to be, if it does not leave it to the SDK."""
    assignment: Assignment | None = None
    tokens: Tokens | None = None
    checkpoint: str | None = None
    told: list[str] = field(default_factory=list)
    """The reasons that it was told to end for."""

    def happens(self, moment: datetime, state: PodState, *steps: str) -> None:
        """Go into a state, with these steps being done at a moment."""
        at = replace(self.status.at, **dict.fromkeys(steps, moment.timestamp()))
        self.status = replace(self.status, state=state, at=at)

    def register(self, moment: datetime) -> None:
        """Have the agent register."""
        self.happens(moment, PodState.WARM, "registered")
        self.status = replace(self.status, agent=AgentInfo(connected=True, name="agent"))

    def end(self, moment: datetime, reason: EndReason, message: str) -> None:
        """Have the agent's job be over."""
        self.happens(moment, PodState.ENDED, "ended")
        self.status = replace(self.status, end=End(reason, message))


class FakePods(PodClient):
    """Behaves like ``PodClient`` towards sidecars that do as they are told."""

    def __init__(
        self,
        now: Callable[[], datetime],
        join: Callable[[str, str], None] = lambda room, identity: None,
    ) -> None:
        """``join`` is called with the room and the identity of each agent that joins."""
        self._now = now
        self._join = join
        self._sidecars: dict[str, FakeSidecar] = {}
        self.asked: list[Act] = []
        self.fault: Callable[[Act], PodError | None] = lambda act: None

    def __getitem__(self, pod_uid: str) -> FakeSidecar:
        return self._sidecars.setdefault(pod_uid, FakeSidecar())

    async def assign(self, address: str, pod_uid: str, assignment: Assignment) -> Accepted:
        sidecar = self._sidecar(Act.ASSIGN, pod_uid)
        if not sidecar.status.agent.connected:
            raise PodRefused("AgentNotReady", "no agent is registered")
        accepted = Accepted.plainly(assignment.job_id)
        sidecar.assignment = assignment
        sidecar.happens(self._now(), PodState.ACCEPTED, "assigned", "accepted")
        sidecar.status = replace(
            sidecar.status,
            session=assignment.session,
            generation=assignment.generation,
            job=JobInfo(assignment.job_id, accepted.identity),
        )
        if sidecar.plain and assignment.tokens:
            return replace(accepted, status=self._dispatched(sidecar, assignment.tokens))
        return replace(accepted, name="Ada", identity=sidecar.identity or accepted.identity)

    async def dispatch(self, address: str, pod_uid: str, tokens: Tokens) -> PodStatus:
        return self._dispatched(self._sidecar(Act.TOKEN, pod_uid), tokens)

    def _dispatched(self, sidecar: FakeSidecar, tokens: Tokens) -> PodStatus:
        sidecar.tokens = tokens
        identity = jwt.decode(tokens.join_token, options={"verify_signature": False})["sub"]
        if sidecar.status.job:
            sidecar.status = replace(
                sidecar.status, job=replace(sidecar.status.job, identity=identity)
            )
        joined = ("joined", "first_audio") if sidecar.joins else ()
        sidecar.happens(self._now(), PodState.RUNNING, "dispatched", *joined)
        if sidecar.joins and sidecar.assignment:
            self._join(sidecar.assignment.room.name, identity)
        return sidecar.status

    async def end(self, address: str, pod_uid: str, reason: str) -> PodStatus:
        sidecar = self._sidecar(Act.END, pod_uid)
        sidecar.told.append(reason)
        sidecar.happens(self._now(), PodState.ENDING)
        return sidecar.status

    async def status(self, address: str, pod_uid: str) -> PodStatus:
        return self._sidecar(Act.STATUS, pod_uid).status

    async def checkpoint(self, address: str, pod_uid: str) -> str | None:
        sidecar = self._sidecar(Act.CHECKPOINT, pod_uid)
        if sidecar.checkpoint is None and sidecar.assignment:
            return sidecar.assignment.checkpoint
        return sidecar.checkpoint

    def _sidecar(self, act: Act, pod_uid: str) -> FakeSidecar:
        self.asked.append(act)
        if error := self.fault(act):
            raise error
        return self[pod_uid]
