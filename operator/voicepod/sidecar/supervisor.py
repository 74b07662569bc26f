"""Brings the parts together: what is done when a request, the agent or LiveKit moves the pod.

Everything that happens goes through the state machine first, and what follows from where it has
come to is in one place, ``_arrived``.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final, TypeVar

import aiohttp
import jwt

from voicepod.assignment.messages import Accepted, Assignment, PodState, RefusalReason, Tokens
from voicepod.sidecar.health import TICK, Beat
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.offer import Declined, build_job, offer
from voicepod.sidecar.protocol import agent
from voicepod.sidecar.room import Room
from voicepod.sidecar.room_watch import present, watch_arrival, watch_departure
from voicepod.sidecar.state import Pod, Refused
from voicepod.sidecar.store import Store
from voicepod.sidecar.worker import AgentGone, Worker

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

# Seconds that an accepted job waits for its token: LiveKit's SDKs give up after 7.5.
_ACCEPTANCE_LIFE: Final = 7.0

# Seconds that an idle agent may be gone: LiveKit's SDKs come back at once, or after 2 seconds.
_RETURN: Final = 5.0

# Seconds that a call waits for another pod to take it over, when this one is deleted or its node is
# drained: several times of what a warm pod takes, and as much is left of the termination grace
# (``builders.pod``) for two processes to exit.
_HANDOVER: Final = 5.0

# Seconds that the hint about the join waits for the audio, which mostly follows soon: one question
# of the operator does for both then. Who asked for a token waits for the hint of an agent that is
# alone: until its line stands, for one that sends audio only when its caller is there.
_AUDIO_GRACE: Final = 1.5
_AUDIO_GRACE_ALONE: Final = 0.3

# Seconds between two hints that nobody speaks, should one get lost: as late as a call ends whose
# webhooks got lost.
_IDLE_HINTS: Final = 30.0


class Supervisor:
    """The life of one pod, with all that it does to the world."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        hints: Hints,
        store: Store | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` returns Unix seconds."""
        self.pod = Pod(clock)
        self.over = asyncio.Event()
        """Set when the job has ended, or the pod will never have one."""
        self.room: Room | None = None
        """The room of the job, from its dispatch on."""
        self._http = http
        self._hints = hints
        self._store = store
        self._worker: Worker | None = None
        self._job: agent.Job | None = None
        self._offer: asyncio.Task[Accepted] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._joined_hint: asyncio.TimerHandle | None = None
        self._next_idle_hint = 0.0
        self._leaving = asyncio.Event()
        self._handed_over = asyncio.Event()
        self._session_over = False
        self._grace_over = 0.0

    # What the agent does

    def why_no_agent(self) -> str | None:
        """Return why no agent may register now, or None if one may."""
        return self.pod.why_no_agent()

    async def registered(self, worker: Worker) -> None:
        """An agent has registered. As long as there is no job, the newest one counts."""
        earlier, self._worker = self._worker, worker
        asked = worker.registration
        logger.info("agent %r has registered, version %s", asked.agent_name, asked.version)
        self._step(self.pod.register, asked.agent_name, asked.version)
        if earlier:
            logger.warning("it takes the place of one that was registered and idle")
            await earlier.close()

    def gone(self, worker: Worker) -> None:
        """The websocket of an agent has closed."""
        if worker is self._worker:
            self._worker = None
            logger.info("the agent's websocket has closed")
            self._step(self.pod.disconnect)

    async def reported(self, update: agent.UpdateJobStatus) -> None:
        """The agent says how its job is doing."""
        status = agent.JobStatus.Name(update.status)
        logger.info("the agent reports %s", status)
        self._step(self.pod.report, update.job_id, status, update.error)
        if status == "JS_RUNNING" and self.pod.state in (PodState.ENDING, PodState.ENDED):
            # The termination came before the job had a process: SDKs pass over it then.
            await self._terminate()

    def beat(self, beat: Beat) -> None:
        """The runtime in the agent's process tells how it is."""
        self._step(self.pod.beat, beat)

    def keep(self, checkpoint: str) -> bool:
        """The agent tells the conversation so far. Returns False if this pod has no job."""
        if not self.pod.keep(checkpoint):
            return False
        if self._store and self.pod.assignment:
            self._store.put(self.pod.assignment.session, checkpoint)
        return True

    # What the operator and the kubelet ask for

    async def assign(self, assignment: Assignment) -> Accepted:
        """Offer the job to the agent; returns what it accepts with. Raises Refused.

        An agent that accepts plainly starts at once, if the assignment has tokens for that. A
        repeated request waits for the same offer, and has the same answer.
        """
        if self._step(self.pod.assign, assignment):
            assert self._worker is not None
            self._job = build_job(assignment, self._worker)
            self._offer = asyncio.create_task(self._negotiate(self._job, self._worker))
        assert self._offer is not None
        accepted = await asyncio.shield(self._offer)
        if assignment.tokens is None or accepted != Accepted.plainly(assignment.job_id):
            return accepted
        await self.dispatch(assignment.tokens)
        return replace(accepted, status=self.pod.status())

    async def dispatch(self, tokens: Tokens) -> None:
        """Let the agent start its job. Raises Refused."""
        identity = _identity_of(tokens.join_token)
        if not self._step(self.pod.dispatch, tokens, identity):
            return
        assignment = self.pod.assignment
        assert assignment
        assert self._job
        assert self._worker
        worker = self._worker
        self.room = Room(self._http, assignment.livekit_url, assignment.room, tokens.room_token)
        # A replacement joins under the identity of the one before. Whoever has it before the new
        # agent can join is the old one, whom LiveKit may not have missed yet.
        before = await present(self.room, identity) if assignment.generation > 1 else frozenset()
        if self.pod.state is PodState.RUNNING:
            self._start_watch(watch_arrival(self.room, identity, before, self._seen))
        try:
            await worker.assign(self._job, assignment.livekit_url, tokens.join_token)
        except AgentGone:
            self._step(self.pod.disconnect)
            raise self.pod.why_over() from None
        logger.info("the agent is to join room %r as %r", assignment.room.name, identity)

    async def end_session(self, reason: str) -> None:
        """Tell the agent to end its job: nobody will go on with its call."""
        self._session_over = True
        await self._end(reason)

    async def _end(self, reason: str) -> None:
        before = self.pod.state
        self._step(self.pod.end, reason)
        if before is PodState.RUNNING:
            logger.info("the agent is to end its job: %s", reason)
            await self._terminate()

    async def end_and_wait(self, reason: str) -> None:
        """End the job, and wait until it has ended or its grace is over."""
        await self._end(reason)
        try:
            async with asyncio.timeout_at(self._grace_over):
                await self.over.wait()
        except TimeoutError:
            logger.warning("the agent did not end its job within its grace")

    async def stop(self, reason: str) -> None:
        """The pod is being deleted: end the job, but in mid-call let another pod have it first.

        The agent of that one joins under this one's identity, and so this one's job ends.
        """
        if self.pod.state is PodState.RUNNING:
            logger.info("the call waits for another pod to take it over: %s", reason)
            self.pod.stopping = True
            self._hints.send()
            try:
                async with asyncio.timeout(_HANDOVER):
                    await self._leaving.wait()
            except TimeoutError:
                logger.warning("no other pod has taken the call over")
        await self.end_and_wait(reason)

    def checkpoint(self) -> str | None:
        """Return the conversation so far, for whoever goes on with it."""
        self._handed_over.set()
        return self.pod.checkpoint

    async def hand_over(self) -> None:
        """Wait a moment until the conversation of a lost agent was asked for.

        The kubelet stops a sidecar as soon as it sees that its agent's container has ended.
        """
        if self.pod.state is PodState.LOST and self.pod.checkpoint is not None:
            try:
                async with asyncio.timeout(_HANDOVER):
                    await self._handed_over.wait()
            except TimeoutError:
                logger.warning("nobody has asked for the conversation of the lost agent")

    def request_room_deletion(self) -> None:
        """The agent wants its room closed, which only the operator can do."""
        self.pod.room_deletion_requested = True
        self._hints.send()

    async def close(self) -> None:
        """Stop whatever still goes on."""
        for waiting in (self._offer, self._watch, self._timer, self._joined_hint):
            if waiting:
                waiting.cancel()
        if self._worker:
            await self._worker.close()

    # What follows

    def _step(self, move: Callable[..., _T], *arguments: Any) -> _T:
        """Move the state machine, and do what its new state brings with it."""
        before = self.pod.state
        result = move(*arguments)
        if self.pod.state is not before:
            self._arrived()
        return result

    def _arrived(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        match self.pod.state:
            case PodState.STARTING:
                self._timer = loop.call_later(_RETURN, self._step, self.pod.give_up)
            case PodState.WARM:
                self._hints.send()
            case PodState.ACCEPTED:
                self._timer = loop.call_later(_ACCEPTANCE_LIFE, self._step, self.pod.expire)
            case PodState.RUNNING:
                self._timer = loop.call_later(TICK, self._tick)
            case PodState.ENDING:
                self._leaving.set()
                assert self.pod.assignment is not None
                self._grace_over = loop.time() + self.pod.assignment.shutdown_grace
                self._start_watch(self._see_off() if self.pod.silent else None)
            case PodState.ENDED | PodState.LOST:
                logger.info("the pod is %s: %s", self.pod.state, self.pod.why_over().message)
                self._start_watch(None)
                if self._worker:
                    self._worker.withdraw()
                if self._store and self._session_over and self.pod.assignment:
                    self._store.forget(self.pod.assignment.session)
                self._leaving.set()
                self.over.set()
                self._hints.send()

    def _tick(self) -> None:
        self._step(self.pod.tick)
        if self.pod.state is PodState.RUNNING:
            self._tell_if_idle()
            self._timer = asyncio.get_running_loop().call_later(TICK, self._tick)

    def _tell_if_idle(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self.pod.idle:
            self._next_idle_hint = now
        elif now >= self._next_idle_hint:
            self._next_idle_hint = now + _IDLE_HINTS
            self._hints.send()

    async def _negotiate(self, job: agent.Job, worker: Worker) -> Accepted:
        try:
            accepted = await offer(job, worker)
        except Declined as error:
            self._step(self.pod.refuse, str(error))
            raise self.pod.why_over() from None
        except AgentGone:
            self._step(self.pod.disconnect)
            raise self.pod.why_over() from None
        self._step(self.pod.accept, accepted)
        return accepted

    def _seen(self, joined_at: float, audio: bool, alone: bool) -> None:
        first = not self.pod.has_joined
        self._step(self.pod.see, joined_at, audio)
        if audio:
            if self._joined_hint:
                self._joined_hint.cancel()
            self._hints.send()
        elif first:
            grace = _AUDIO_GRACE_ALONE if alone else _AUDIO_GRACE
            self._joined_hint = asyncio.get_running_loop().call_later(grace, self._hints.send)

    async def _see_off(self) -> None:
        """Watch the room for the end of a job that its agent does not report on."""
        assert self.room
        assert self.pod.job
        await watch_departure(self.room, self.pod.job.identity)
        if self.pod.silent:
            self._step(self.pod.leave)

    async def _terminate(self) -> None:
        if self._worker and self.pod.job:
            try:
                await self._worker.terminate(self.pod.job.id)
            except AgentGone:
                self._step(self.pod.disconnect)

    def _start_watch(self, watch: Coroutine[Any, Any, None] | None) -> None:
        if self._watch:
            self._watch.cancel()
        self._watch = asyncio.create_task(watch) if watch else None


def _identity_of(join_token: str) -> str:
    """Return who joins with a token. It is LiveKit that verifies it, not the sidecar."""
    try:
        claims = jwt.decode(join_token, options={"verify_signature": False})
        return str(claims["sub"])
    except (jwt.InvalidTokenError, KeyError):
        raise Refused(RefusalReason.MALFORMED, "the join token names nobody") from None
