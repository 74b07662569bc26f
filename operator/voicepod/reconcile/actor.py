"""Carries out what ``decide`` wants, and puts what it learns into the session's record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, assert_never

from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.conditions import Reason
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.names import AGENT_CONTAINER
from voicepod.assignment.client import PodClient
from voicepod.assignment.errors import PodError, PodRefused, PodUnreachable
from voicepod.assignment.messages import (
    Accepted,
    Assignment,
    PodStatus,
    RoomRef,
    SessionRef,
    Tokens,
)
from voicepod.builders.pod import Owner, PodKeys, Template, build_pod
from voicepod.checkpoints import Checkpoints
from voicepod.credentials import CredentialsError, CredentialStore
from voicepod.kube.client import PODS, VOICE_SESSIONS, Kube
from voicepod.kube.errors import Conflict, KubeError, NotFound, Refused, Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import LiveKitError, Unauthorized, Unreachable
from voicepod.livekit.rooms import Rooms
from voicepod.livekit.tokens import fenced, join_token, room_token
from voicepod.reconcile import actions
from voicepod.reconcile.claims import Claims
from voicepod.reconcile.draft import in_room
from voicepod.reconcile.objects import Key, Pod, Problem, parse_pod
from voicepod.reconcile.records import Record
from voicepod.reconcile.templates import TemplateBook
from voicepod.reconcile.world import World

# What a room's token outlives the longest call by: the start before it and the goodbye after it.
_TOKEN_MARGIN: Final = timedelta(hours=2)

# As much as ends a traceback with what was raised, and where.
_LAST_LINES: Final = 5

# Characters: an Event holds 1024 of them, and the sentence before the log must be among them.
_LAST_WORDS: Final = 600


# Seconds: the least that lets the kubelet end a pod in order.
_NO_GOODBYE: Final = 1


class Stuck(Exception):  # noqa: N818 - named by what the session is
    """An action failed for a reason that a person should read; it is tried again with backoff."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Actor:
    """The hands of the reconciler."""

    world: World
    kube: Kube
    pods: PodClient
    rooms: Callable[[Credentials], Rooms]
    credentials: CredentialStore
    checkpoints: Checkpoints
    claims: Claims
    templates: TemplateBook
    clock: Callable[[], datetime]
    on_claim: Callable[[Key], None]
    """Called with the VoiceAgent whose session has got a pod, and whose pool may have one less."""

    async def carry_out(self, action: actions.Action, record: Record) -> None:
        """Do one thing.

        Raises Stuck, or an exception of ``kube.errors`` when the API server cannot be asked.
        """
        try:
            await self._carry_out(action, record)
        except CredentialsError as error:
            raise Stuck(Problem(error.reason, error.message)) from error
        except Unauthorized as error:
            self.credentials.forget(record.session.key[0], _spec(record).livekit)
            raise Stuck(Problem(Reason.LIVEKIT_UNAUTHORIZED, str(error))) from error
        except Unreachable as error:
            raise Stuck(Problem(Reason.LIVEKIT_UNREACHABLE, str(error))) from error
        except PodUnreachable as error:
            raise Stuck(Problem(Reason.POD_UNREACHABLE, str(error))) from error
        except PodRefused as error:
            reason = (
                Reason.AGENT_NOT_REGISTERED
                if error.reason == "AgentNotReady"
                else Reason.AGENT_REFUSED
            )
            raise Stuck(Problem(reason, error.message)) from error

    async def _carry_out(self, action: actions.Action, record: Record) -> None:
        match action:
            case actions.OpenRoom():
                await self._open_room(record)
            case actions.ClaimPod():
                await self._claim_pod(record, action.generation)
            case actions.Assign():
                await self._assign(record)
            case actions.LookAtPod():
                await self._look_at_pod(record)
            case actions.LookAtRoom():
                await self._look_at_room(record)
            case actions.EndJob():
                pod = self._pod(record)
                told = await self.pods.end(pod.ip, pod.uid, action.reason)
                await self._take_over(told, pod, record)
            case actions.CloseRoom():
                await self._close_room(record)
            case actions.EvictAgent():
                await self._evict_agent(record)
            case actions.KeepCheckpoint():
                pod = action.pod
                record.checkpoint = await self._newest(record, pod) or record.checkpoint
            case actions.DeletePod():
                await self.delete_pod(action.pod, at_once=action.at_once)
            case actions.DeleteSession():
                await self._delete_session(record)
            case _:
                assert_never(action)

    async def delete_pod(self, pod: Pod, at_once: bool = False) -> None:
        """Delete a pod; one that is gone already is just as well."""
        grace = _NO_GOODBYE if at_once else None
        try:
            await self.kube.delete(PODS, *pod.key, uid=pod.uid, grace=grace)
            known = self.world.pods.get(pod.key)
            if known and known.uid == pod.uid:
                # The watch says so a moment later, if it has not; until then it must not be deleted
                # again.
                self.world.put_pod(replace(known, deleting=True))
        except (NotFound, Conflict):
            self.world.drop_pod(pod.key, pod.uid)

    async def _claim_pod(self, record: Record, generation: int) -> None:
        session, spec = record.session, _spec(record)
        # That was the agent before.
        record.agent_missed = None
        # Without credentials no token could be minted, and the pod would wait in vain.
        await self.credentials.get(session.key[0], spec.livekit)
        agent = self.world.agent_of(session)
        if agent is None:
            raise Stuck(agent_not_found(record))
        templates = self.templates.of(agent)
        if not await self.claims.claim(record, spec, templates, generation):
            await self._start_pod(
                record, templates.for_session(session.uid, generation), generation
            )
        # The VoiceAgent may have been deleted meanwhile.
        if demand := self.world.demands.get(agent.key):
            demand.arrived(self.clock())
        self.on_claim(agent.key)

    async def _start_pod(self, record: Record, template: Template, generation: int) -> None:
        session = record.session
        namespace, name = session.key
        manifest = build_pod(
            template,
            Owner(namespace, name, session.uid, session.spec.agent_ref.name, session.spec.room),
            generation,
            lifecycle_of(record).seconds("shutdown_grace"),
            self.templates.sidecar,
            PodKeys.draw(),
        )
        try:
            created = await self.kube.create(PODS, namespace, manifest)
        except Unavailable as error:
            # It may be there all the same, and a session never gets two.
            record.claim_unsure = True
            raise Stuck(
                Problem(Reason.POD_NOT_CREATED, f"the API server could not make the pod: {error}")
            ) from error
        except Refused as error:
            raise Stuck(
                Problem(
                    Reason.TEMPLATE_REFUSED,
                    f"the API server refuses the pod of VoiceAgent "
                    f"{session.spec.agent_ref.name}: {error}",
                )
            ) from error
        except Conflict:
            # Made before the operator was restarted, or not seen yet by its watch.
            created = await self.kube.get(PODS, namespace, manifest["metadata"]["name"])
            owners = created["metadata"].get("ownerReferences", [])
            if session.uid not in [owner["uid"] for owner in owners]:
                raise Stuck(
                    Problem(
                        Reason.POD_STARTING,
                        f"pod {manifest['metadata']['name']} belongs to somebody else",
                    )
                ) from None
        self.world.put_pod(parse_pod(created))

    async def _newest(self, record: Record, pod: Pod | None) -> str | None:
        """Return what was said in the call, by a pod that was in it if it is still there."""
        session, store = record.session, _spec(record).checkpoint
        there = (pod.ip, pod.uid) if pod and pod.ip else None
        return await self.checkpoints.newest(SessionRef(*session.key, session.uid), store, there)

    async def _assign(self, record: Record) -> None:
        session, pod = record.session, self._pod(record)
        before = self._talked_on(record, pod)
        if before or (pod.generation > 1 and record.checkpoint is None):
            # If there is none before, it was gone at once, or the operator was.
            record.checkpoint = await self._newest(record, before) or record.checkpoint
        lifecycle, spec = lifecycle_of(record), _spec(record)
        credentials = await self.credentials.get(session.key[0], spec.livekit)
        # The same for every generation: it is one call.
        job_id = f"AJ_{session.uid.replace('-', '')[:16]}"
        room = session.spec.room
        mint = partial(
            _tokens, credentials, record, pod.generation, lifecycle.seconds("max_duration")
        )
        accepted = await self.pods.assign(
            pod.ip,
            pod.uid,
            Assignment(
                session=SessionRef(*session.key, session.uid),
                generation=pod.generation,
                room=RoomRef(record.status.room_sid, room),
                livekit_url=credentials.url,
                job_id=job_id,
                metadata=session.spec.metadata,
                checkpoint=record.checkpoint,
                shutdown_grace=lifecycle.seconds("shutdown_grace"),
                idle_timeout=lifecycle.seconds("idle_timeout"),
                tokens=mint(fenced(Accepted.plainly(job_id), job_id, room)),
            ),
        )
        status = accepted.status
        if status is None:
            joins_as = fenced(accepted, job_id, room)
            if record.status.identity not in ("", joins_as.identity):
                # Its join does not put out the one before.
                await self._evict_agent(record)
            status = await self.pods.dispatch(pod.ip, pod.uid, mint(joins_as))
        await self._take_over(status, pod, record)

    def _talked_on(self, record: Record, pod: Pod) -> Pod | None:
        """Return the pod whose agent may have talked on while this one was coming up."""
        if pod.claimed:
            return None
        pods = self.world.pods_of(record.session)
        return next((p for p in pods if p.generation < pod.generation and not p.finished), None)

    async def _look_at_pod(self, record: Record) -> None:
        pod = self._pod(record)
        # Before the question: a hint that comes while it is under way asks for another.
        record.call_stale = False
        try:
            call = await self.pods.status(pod.ip, pod.uid)
        except PodError:
            record.call_stale = True
            raise
        await self._take_over(call, pod, record)

    async def _take_over(self, call: PodStatus, pod: Pod, record: Record) -> None:
        """Take over what a sidecar says of its call."""
        record.call, record.call_pod, record.call_seen = call, pod.uid, self.clock()
        if call.over:
            # An agent leaves its room a moment after its caller: only the room can tell now
            # whether the agent was lost or is not needed any more.
            record.room_stale = True
            if not call.at.joined:
                record.last_words = await self._last_words(pod)

    async def _last_words(self, pod: Pod) -> str:
        """Return the end of the agent's log; what keeps it from being read, if anything does."""
        try:
            log = await self.kube.log(*pod.key, container=AGENT_CONTAINER, lines=_LAST_LINES)
        except KubeError as error:
            return f"it cannot be read: {error}"
        return log.strip()[-_LAST_WORDS:]

    async def _open_room(self, record: Record) -> None:
        rooms = await self._rooms(record)
        room = await rooms.open(record.session.spec.room)
        if room is None:
            await self._look_at_room(record)
        else:
            record.room, record.room_seen = room, self.clock()

    async def _look_at_room(self, record: Record) -> None:
        rooms = await self._rooms(record)
        record.room_stale = False
        seen = self.clock()
        try:
            record.room = await rooms.look(record.session.spec.room)
        except LiveKitError:
            record.room_stale = True
            raise
        record.room_seen = seen
        status = record.status
        missed = in_room(status) and status.identity not in record.room.others
        record.agent_missed = (record.agent_missed or seen) if missed else None

    async def _evict_agent(self, record: Record) -> None:
        if await self._has_its_room(record):
            rooms = await self._rooms(record)
            await rooms.remove(record.session.spec.room, record.status.identity)

    async def _has_its_room(self, record: Record) -> bool:
        """Look whether the room is still this session's: a later one may have its name by now."""
        await self._look_at_room(record)
        return record.room is not None and record.room.sid == record.status.room_sid

    async def _close_room(self, record: Record) -> None:
        if await self._has_its_room(record):
            await (await self._rooms(record)).close(record.session.spec.room)
            await self._look_at_room(record)

    async def _delete_session(self, record: Record) -> None:
        session = record.session
        try:
            await self.kube.delete(VOICE_SESSIONS, *session.key, uid=session.uid)
            if self.world.has(record):
                # The watch says so a moment later, if it has not; until then it must not be deleted
                # again.
                self.world.put_session(replace(record.session, deleting=True))
        except (NotFound, Conflict):
            if self.world.has(record):
                self.world.drop_session(session.key)

    async def _rooms(self, record: Record) -> Rooms:
        credentials = await self.credentials.get(record.session.key[0], _spec(record).livekit)
        return self.rooms(credentials)

    def _pod(self, record: Record) -> Pod:
        pods = self.world.pods_of(record.session)
        if not pods:
            raise Stuck(Problem(Reason.POD_UNREACHABLE, "the pod went away while it was asked"))
        return pods[0]


def _tokens(
    credentials: Credentials,
    record: Record,
    generation: int,
    max_duration: float,
    joins_as: Accepted,
) -> Tokens:
    """Return what an agent joins a session's room with."""
    room = record.session.spec.room
    return Tokens(
        session_uid=record.session.uid,
        generation=generation,
        join_token=join_token(credentials, room, joins_as),
        room_token=room_token(credentials, room, timedelta(seconds=max_duration) + _TOKEN_MARGIN),
    )


def lifecycle_of(record: Record) -> Lifecycle:
    """Return the durations that count for a session."""
    defaults = record.agent_spec.lifecycle if record.agent_spec else Lifecycle()
    return defaults.overridden_by(record.session.spec.lifecycle)


def _spec(record: Record) -> VoiceAgentSpec:
    if record.agent_spec is None:
        raise Stuck(agent_not_found(record))
    return record.agent_spec


def agent_not_found(record: Record) -> Problem:
    """Return the problem of a session whose VoiceAgent is not there."""
    name, namespace = record.session.spec.agent_ref.name, record.session.key[0]
    return Problem(
        Reason.AGENT_NOT_FOUND,
        f"there is no VoiceAgent {name} in namespace {namespace}; the session goes on when it is "
        "applied",
    )
