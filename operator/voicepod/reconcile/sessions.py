"""The loop around ``decide``: observe a session, decide, act, until there is nothing to do."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from voicepod.api.conditions import Reason
from voicepod.kube.client import VOICE_SESSIONS, Kube
from voicepod.kube.errors import NotFound
from voicepod.kube.events import Events, Regarding
from voicepod.reconcile.actions import DeleteSession
from voicepod.reconcile.actor import Actor, Stuck, agent_not_found, lifecycle_of
from voicepod.reconcile.decide import Decision, Observed, decide
from voicepod.reconcile.merge import merge_patch
from voicepod.reconcile.objects import Key, parse_session
from voicepod.reconcile.story import notes_between
from voicepod.reconcile.world import Record, World

logger = logging.getLogger(__name__)

# From a new session to a running call it takes four rounds. More than this is a decision that
# never settles: it is left to the queue, which goes on with backoff.
_MAX_ROUNDS: Final = 10


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

    async def reconcile(self, key: Key) -> Outcome:
        """Bring a session to what it should be.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        record = self.world.records.get(key)
        if record is None:
            await self._clean_up_after(key)
            return Outcome()
        stuck = False
        try:
            decision = await self._settle(record)
        except Stuck as error:
            stuck = True
            if record.problem != error.problem:
                logger.warning("%s/%s: %s", *key, error.problem.message)
            record.problem = error.problem
            decision = decide(self._observe(record))
            record.status = decision.status
        await self._write_status(record)
        if decision.wake is None:
            return Outcome(retry=stuck)
        return Outcome((decision.wake - self.clock()).total_seconds(), retry=stuck)

    async def _settle(self, record: Record) -> Decision:
        for _ in range(_MAX_ROUNDS):
            decision = decide(self._observe(record))
            record.status = decision.status
            if not decision.actions:
                return decision
            stuck: Stuck | None = None
            for action in decision.actions:
                # One that fails keeps none of the others: a pod that cannot be started does not
                # keep its caller's leaving from being seen.
                try:
                    await self.actor.carry_out(action, record)
                except Stuck as error:
                    stuck = stuck or error
            if stuck:
                raise stuck
            record.problem = None
            if DeleteSession() in decision.actions:
                return Decision(record.status)
        raise UnsettledError(f"the session does not settle: {decision.actions}")

    def _observe(self, record: Record) -> Observed:
        session = record.session
        agent = self.world.agent_of(session)
        if agent:
            record.agent_spec = agent.spec
        pods = self.world.pods_of(session)
        pod = pods[0] if pods else None
        holder = self.world.room_holder(record)
        problem = record.problem
        if record.agent_spec is None:
            problem = agent_not_found(record)
        elif problem and problem.reason is Reason.AGENT_NOT_FOUND:
            problem = None
        return Observed(
            now=self.clock(),
            session=session,
            status=record.status,
            lifecycle=lifecycle_of(record),
            pod=pod,
            call=record.call if pod and record.call_pod == pod.uid else None,
            call_seen=record.call_seen,
            call_stale=record.call_stale,
            room=record.room,
            room_seen=record.room_seen,
            room_stale=record.room_stale,
            problem=problem,
            room_holder=holder.key[1] if holder else "",
            knows_livekit=record.agent_spec is not None,
        )

    async def _write_status(self, record: Record) -> None:
        session = record.session
        patch = merge_patch(session.status.to_yaml(), record.status.to_yaml())
        if not patch:
            return
        notes = notes_between(session.status, record.status)
        try:
            written = await self.kube.patch(
                VOICE_SESSIONS, *session.key, {"status": patch}, subresource="status"
            )
        except NotFound:
            # Deleted meanwhile; the watch will say so.
            return
        self.world.put_session(parse_session(written))
        about = Regarding("VoiceSession", *session.key, session.uid)
        for note in notes:
            self.events.post(about, note)

    async def _clean_up_after(self, key: Key) -> None:
        """Delete the pods of a session that is gone; the API server is asked, not the cache."""
        pods = [pod for pod in self.world.pods_named_for(key) if not pod.deleting]
        if not pods:
            return
        try:
            self.world.put_session(parse_session(await self.kube.get(VOICE_SESSIONS, *key)))
        except NotFound:
            for pod in pods:
                await self.actor.delete_pod(pod)
