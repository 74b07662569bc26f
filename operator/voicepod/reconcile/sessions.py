"""The loop around ``decide``: observe a session, decide, act, until there is nothing to do."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from voicepod.api.conditions import Reason
from voicepod.api.session import Phase, VoiceSessionStatus
from voicepod.assignment.errors import PodError
from voicepod.kube.client import VOICE_SESSIONS, Kube
from voicepod.kube.errors import Conflict, KubeError, NotFound
from voicepod.kube.events import Events, Regarding
from voicepod.reconcile.actions import DeleteSession
from voicepod.reconcile.actor import Actor, Stuck, agent_not_found, lifecycle_of
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Decision, Observed
from voicepod.reconcile.glance import undisturbed_until
from voicepod.reconcile.merge import merge_patch
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.objects import Json, Key, parse_session
from voicepod.reconcile.places import Places
from voicepod.reconcile.records import Record
from voicepod.reconcile.story import notes_between
from voicepod.reconcile.world import World

logger = logging.getLogger(__name__)

# From a new session to a running call it takes four rounds. More than this is a decision that
# never settles: it is left to the queue, which goes on with backoff.
_MAX_ROUNDS: Final = 10

# In seconds. What comes again so soon is left as it is: to pack a status and to unpack it takes as
# long as to decide on it.
_SOON: Final = 5.0


class UnsettledError(Exception):
    """``decide`` wanted something again and again."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """When an object has to be looked at again without anything having happened."""

    wake: float | None = None
    """In seconds from now."""
    retry: bool = False
    """Something failed: try again with backoff."""


@dataclass(frozen=True, slots=True)
class SessionReconciler:
    """Brings one session after the other to what it should be."""

    world: World
    kube: Kube
    actor: Actor
    events: Events
    clock: Callable[[], datetime]
    metrics: Metrics
    places: Places

    def is_over(self, key: Key) -> bool:
        """Whether a session has come to its end, and nobody waits for what is left of it."""
        record = self.world.records.get(key)
        return record is not None and record.phase.finished

    def has_agent(self, key: Key) -> bool:
        """Whether a session is a call that has its agent, and nobody waits for one."""
        record = self.world.records.get(key)
        return record is not None and self.world.has_agent(record)

    async def reconcile(self, key: Key) -> Outcome:
        """Bring a session to what it should be.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        record = self.world.records.get(key)
        if record is None:
            return await self._clean_up_after(key)
        soon = False
        try:
            outcome = await self._bring(record)
            soon = outcome.wake is not None and outcome.wake < _SOON
            return outcome
        finally:
            if not soon:
                record.rest()

    async def glance(self, key: Key) -> Outcome:
        """Let a call that seems to go on be if it does; if not, bring it to what it should be.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        record = self.world.records.get(key)
        if record and self.world.is_calm(record):
            due = await self._undisturbed_until(record)
            if due and due > self.clock():
                record.rest()
                return Outcome((due - self.clock()).total_seconds())
        return await self.reconcile(key)

    async def _undisturbed_until(self, record: Record) -> datetime | None:
        (pod,), agent = self.world.pods_of(record.session), self.world.agent_of(record.session)
        if agent is None:
            return None
        record.agent_spec = record.agent_spec or agent.spec
        try:
            call = await self.actor.pods.status(pod.ip, pod.uid)
        except PodError:
            return None
        # Something else may have become known while it was asked.
        calm = self.world.is_calm(record)
        return undisturbed_until(record.status, call, lifecycle_of(record)) if calm else None

    async def _bring(self, record: Record) -> Outcome:
        key, stuck = record.session.key, False
        self.places.enter(record)
        try:
            decision = await self._settle(record)
        except Stuck as error:
            stuck = True
            if record.problem != error.problem:
                logger.warning("%s/%s: %s", *key, error.problem.message)
                self.metrics.stuck(record.session, error.problem.reason)
            record.problem = error.problem
            decision = decide(self._observe(record))
            record.status = decision.status
            self.places.withdraw(record)
        except UnsettledError:
            await self._write_status(record)
            raise
        cluttered = any(not pod.deleting for pod in self.world.pods_of(record.session))
        if record.phase.finished and not stuck and not cluttered:
            self.places.forget(key)
        if not decision.passing:
            await self._write_status(record)
        if record.phase.finished and cluttered:
            # Its end is told: now whoever has the time may tidy up.
            return Outcome(wake=0.0, retry=stuck)
        if decision.wake is None:
            return Outcome(retry=stuck)
        return Outcome((decision.wake - self.clock()).total_seconds(), retry=stuck)

    async def _settle(self, record: Record) -> Decision:
        for _ in range(_MAX_ROUNDS):
            before, decision = record.status, decide(self._observe(record))
            record.status = decision.status
            ends = decision.status.end_reason and not before.end_reason and not decision.passing
            try:
                if decision.status.end_reason and record.claim_unsure:
                    # A pod that nobody knows of would outlive its session, and its place.
                    await self.actor.claims.look_up(record)
                    record.status = before
                    continue
                announced = not ends or await self._announce_end(record)
            except KubeError:
                # Nobody has been told, and so it is not decided.
                record.status = before
                raise
            if not announced:
                record.status = before
                continue
            if not decision.actions:
                record.problem = None
                return decision
            if DeleteSession() in decision.actions:
                # Its end is to be read first, and counted, however long that could not be written.
                await self._write_status(record)
            failure: Stuck | KubeError | None = None
            for action in decision.actions:
                # One that fails keeps none of the others: a pod that cannot be started does not
                # keep its caller's leaving from being seen.
                try:
                    await self.actor.carry_out(action, record)
                except (Stuck, KubeError) as error:
                    failure = failure or error
            if failure:
                raise failure
            record.problem = None
            if DeleteSession() in decision.actions:
                return Decision(record.status)
            if decision.status.phase.finished and not before.phase.finished:
                # The end is written first.
                return replace(decision, actions=())
        raise UnsettledError(f"the session does not settle: {decision.actions}")

    def _observe(self, record: Record) -> Observed:
        session = record.session
        agent = self.world.agent_of(session)
        lost = record.status.lost[-1].generation if record.status.lost else 0
        pods = self.world.pods_of(session)
        pod = next((pod for pod in pods if pod.generation > lost), None)
        if agent and not (record.status.times.claimed and record.agent_spec):
            # A call goes on under the VoiceAgent that it began with: its room is on that server.
            record.agent_spec = agent.spec
        holder = self.world.room_holder(record)
        problem = record.problem
        if record.agent_spec is None:
            problem = agent_not_found(record)
        elif problem and problem.reason is Reason.AGENT_NOT_FOUND:
            problem = None
        now = self.clock()
        return Observed(
            now=now,
            session=session,
            status=record.status,
            lifecycle=lifecycle_of(record),
            pod=pod,
            older=tuple(one for one in pods if one is not pod and not one.deleting),
            call=record.call if pod and record.call_pod == pod.uid else None,
            call_seen=record.call_seen,
            call_stale=record.call_stale,
            room=record.room,
            room_seen=record.room_seen,
            room_stale=record.room_stale,
            agent_missed=record.agent_missed,
            last_words=record.last_words,
            problem=problem,
            wait=self.places.wait(record, now),
            room_holder=holder.key[1] if holder else "",
            knows_livekit=record.agent_spec is not None,
        )

    async def _announce_end(self, record: Record) -> bool:
        """Write that the session ends, before anything is done about it.

        From then on the gateway knows that a caller who comes back needs another session. False
        when the session was touched since it was read: then a caller may just have come back, and
        the room has to be looked at once more.
        """
        session = record.session
        try:
            await self._write_status(record, {"resourceVersion": str(session.version)})
        except Conflict:
            current = parse_session(await self.kube.get(VOICE_SESSIONS, *session.key))
            if self.world.has(record):
                # If not, the watch has told meanwhile that it is gone.
                self.world.put_session(current)
            return current.uid != session.uid
        return True

    async def _write_status(self, record: Record, precondition: Json | None = None) -> None:
        session, before = record.session, record.session.status
        patch = merge_patch(before.to_yaml(), record.status.to_yaml())
        if not patch:
            return
        notes = notes_between(before, record.status)
        try:
            written = await self.kube.patch(
                VOICE_SESSIONS,
                *session.key,
                # The uid keeps one session's end from another's status that has its name by now.
                {"metadata": {"uid": session.uid, **(precondition or {})}, "status": patch},
                subresource="status",
            )
        except NotFound:
            if self.world.has(record):
                self.world.drop_session(session.key)
            return
        self._count_outcomes(record, before)
        if self.world.has(record):
            # If not, the watch has told meanwhile that it is gone.
            self.world.put_session(parse_session(written))
        self.metrics.session(session, before, record.status)
        about = Regarding("VoiceSession", *session.key, session.uid)
        for note in notes:
            self.events.post(about, note)

    def _count_outcomes(self, record: Record, before: VoiceSessionStatus) -> None:
        """Count which templates' agents were lost, and whose brought a session to its end."""
        status, agent = record.status, self.world.agent_of(record.session)
        if agent is None:
            return
        outcomes = self.world.outcomes[agent.key]
        for loss in status.lost[len(before.lost) :]:
            outcomes.add(loss.template, failed=True)
        if status.phase.finished and not before.phase.finished and status.template:
            outcomes.add(status.template, failed=status.phase is Phase.FAILED)

    async def _clean_up_after(self, key: Key) -> Outcome:
        """Delete the pods of a session that is gone; the API server is asked, not the cache."""
        pods = [pod for pod in self.world.pods_named_for(key) if not pod.deleting]
        if not pods:
            self.places.forget(key)
            return Outcome()
        try:
            self.world.put_session(parse_session(await self.kube.get(VOICE_SESSIONS, *key)))
        except NotFound:
            for pod in pods:
                await self.actor.delete_pod(pod)
            self.places.forget(key)
            return Outcome()
        return Outcome(wake=0.0)
