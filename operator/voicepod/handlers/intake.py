"""Takes news over into the world, and enqueues what has to be reconciled because of it."""

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from voicepod.api.names import BUDGET, LABEL_AGENT
from voicepod.kube.client import (
    CORDONED,
    NODES,
    PODS,
    VOICE_AGENTS,
    VOICE_SESSIONS,
    Kube,
    Resource,
    scopes,
)
from voicepod.kube.errors import Refused
from voicepod.kube.lists import Versions
from voicepod.reconcile.loop import Item, Queue
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.objects import (
    Json,
    Key,
    Pod,
    Session,
    parse_agent,
    parse_pod,
    parse_session,
)
from voicepod.reconcile.records import Record
from voicepod.reconcile.world import World

logger = logging.getLogger(__name__)

T = TypeVar("T")

# In seconds: an agent is in its room by then as a rule. A caller waits for that, and it shall not
# share the node's processors with the start of the next pod, which takes seconds of them.
_CALL_FIRST: Final = 0.5

# In seconds. Counts in a VoiceAgent's status are for people: they are as good some seconds later,
# and each is a write that operator, gateways and controllers are told of.
_COUNT_DELAY: Final = 3.0


@dataclass(frozen=True, slots=True)
class Intake:
    """The one way in for everything that the API server and the pods tell."""

    world: World
    queue: Queue
    metrics: Metrics
    clock: Callable[[], datetime]

    def agent(self, raw: Json, deleted: bool) -> None:
        """Take over a VoiceAgent."""
        agent = _understood(parse_agent, raw)
        if agent is None:
            return
        known = self.world.agents.get(agent.key)
        if deleted:
            self._forget_agent(agent.key)
        else:
            self.world.put_agent(agent)
        if (
            deleted
            or known is None
            or (known.uid, known.generation) != (agent.uid, agent.generation)
        ):
            self._agent_changed(agent.key)
            self.sessions_of(agent.key)

    def _agent_changed(self, key: Key) -> None:
        """Have all that a VoiceAgent is about reconciled, but its sessions."""
        self.queue.add(Item("agent", key))
        self.queue.add(Item("pool", key))
        self.queue.add(Item("headroom", key))

    def _forget_agent(self, key: Key) -> None:
        self.world.drop_agent(key)
        self.metrics.forget(key)

    def sessions_of(self, agent: Key) -> None:
        """Have all unfinished sessions of a VoiceAgent reconciled."""
        for record in self.world.sessions_of(agent):
            if not record.phase.finished:
                self._look_at(record)

    def _look_at(self, record: Record) -> None:
        """Have a session reconciled, the later if its call seems to go on as it should."""
        add = self.queue.add_patiently if self.world.is_calm(record) else self.queue.add
        add(Item("session", record.session.key))

    def turn(self, session: Key) -> None:
        """Have a session reconciled that waited, and has got a place."""
        self.queue.add(Item("session", session))

    def pool(self, agent: Key) -> None:
        """Have the pool of a VoiceAgent reconciled, and its pods counted."""
        self.queue.add(Item("pool", agent))
        self._count(agent)

    def claimed(self, agent: Key) -> None:
        """Have the pool of a VoiceAgent refilled, of which a session has taken a pod."""
        self.queue.add_after(Item("pool", agent), _CALL_FIRST)
        self._count(agent)

    def _count(self, agent: Key) -> None:
        if agent in self.world.agents:
            self.queue.add_after(Item("agent", agent), _COUNT_DELAY)

    def session(self, raw: Json, deleted: bool) -> None:
        """Take over a VoiceSession."""
        record = self.world.records.get(_key(raw))
        if record and not deleted and _is_of(record.session, raw):
            # An echo of what was written, or one more list.
            self._count(record.session.agent)
            return
        session = _understood(parse_session, raw)
        if session is None:
            return
        record = self.world.records.get(session.key)
        known = record.session if record else None
        if not deleted:
            self.world.put_session(session)
        elif known and known.uid == session.uid:
            self.world.drop_session(session.key)
        if deleted or known is None or _wanted(known) != _wanted(session):
            # Not for an echo of the operator's own status: that would undo the backoff.
            self.queue.add(Item("session", session.key))
        self._count(session.agent)

    def pod(self, raw: Json, deleted: bool) -> None:
        """Take over an agent pod."""
        known = self.world.pods.get(_key(raw))
        if known and not deleted and _is_of(known, raw):
            self._count(known.agent)
            return
        pod = _understood(parse_pod, raw)
        if pod is None:
            return
        if deleted:
            self._drop_pod(pod)
        else:
            self.world.put_pod(pod)
        self.metrics.pod(known, pod)
        self._pod_changed(pod)
        if known and known.session is None and pod.session:
            # Claimed, and the answer to the claim got lost.
            self.pool(pod.agent)

    def _drop_pod(self, pod: Pod) -> None:
        known = self.world.pods.get(pod.key)
        if known and known.uid == pod.uid:
            # Told once: a list and the watch may both find it gone.
            self.metrics.pod_gone(pod)
        self.world.drop_pod(pod.key, pod.uid)

    def _pod_changed(self, pod: Pod) -> None:
        if pod.session is None:
            self.pool(pod.agent)
            return
        record = self.world.records.get(pod.session)
        if record is None or not record.phase.finished or not pod.deleting:
            # If not, it is what was left of a call that is over, and goes as it should.
            self.queue.add(Item("session", pod.session))
        if pod.node in self.world.cordoned:
            self._guard(pod.key[0])

    def _guard(self, namespace: str) -> None:
        """Have it looked at whether calls of a namespace need a PodDisruptionBudget."""
        self.queue.add(Item("budget", (namespace, BUDGET)))

    def node(self, raw: Json, deleted: bool) -> None:
        """Take over a node: whether it takes new pods is all that counts."""
        cordoned = not deleted and bool(raw["spec"].get("unschedulable"))
        self._cordoned(raw["metadata"]["name"], cordoned)

    def _cordoned(self, node: str, cordoned: bool) -> None:
        world = self.world
        if cordoned == (node in world.cordoned):
            return
        if cordoned:
            world.cordoned[node] = self.clock()
        else:
            del world.cordoned[node]
        pods = [pod for pod in world.pods.values() if pod.node == node]
        # Those of agents as well: the last call may have gone from the node before it is free.
        namespaces = {pod.key[0] for pod in pods if pod.session} | {one[0] for one in world.agents}
        for namespace in sorted(namespaces):
            self._guard(namespace)
        for agent in sorted({pod.agent for pod in pods}):
            self.pool(agent)

    def hint(self, pod: Key) -> bool:
        """Have a pod asked what has happened; False when there is no such pod."""
        known = self.world.pods.get(pod)
        if known and known.session is None:
            # Nobody waits for it yet, and when somebody does, its readiness is known.
            return True
        record = self.world.records.get(known.session) if known and known.session else None
        if record is None:
            return False
        record.call_stale = True
        self.queue.add(Item("session", record.session.key))
        return True

    def room_hint(self, session: Key) -> bool:
        """Have LiveKit asked about a session's room; False when the session does not go on.

        From the moment on that its end is decided, a caller who comes back needs another one.
        """
        record = self.world.records.get(session)
        if record is None or record.phase.finished or record.status.end_reason:
            return False
        record.room_stale = True
        self.queue.add(Item("session", session))
        return True

    def take_over(self) -> None:
        """Have everything reconciled that is known: this operator leads from now on."""
        world = self.world
        world.start_over()
        # The list has put everything into the queue, and not what nobody waits for last.
        self.queue.forget()
        for agent in world.agents:
            self._agent_changed(agent)
            self._guard(agent[0])
        for record in world.records.values():
            self._look_at(record)
        for pod in world.pods.values():
            if pod.session not in world.records:
                # It waits; or its session is gone, and its agent may be as well.
                self._pod_changed(pod)
            elif pod.node in world.cordoned:
                self._guard(pod.key[0])

    async def fill(self, kube: Kube, namespaces: Collection[str], pause: float = 0.0) -> Versions:
        """List everything, and forget what was known before and is not there any more.

        A watch that had to start anew never tells what vanished meanwhile. ``pause`` is how many
        seconds are between two pages. Returns of when the lists are that watches go on from. Raises
        an exception of ``kube.errors``.
        """
        world = self.world
        sessions, pods = _uids(world), dict(world.pods)
        await self.fill_few(kube, namespaces)
        listed: dict[tuple[Resource, str | None], str] = {}
        for namespace in scopes(namespaces):
            async for page in kube.pages(VOICE_SESSIONS, namespace, pause=pause):
                listed[VOICE_SESSIONS, namespace] = page.version
                for raw in page.items:
                    self.session(raw, deleted=False)
                    sessions.pop(_key(raw), None)
            async for page in kube.pages(PODS, namespace, LABEL_AGENT, pause=pause):
                listed[PODS, namespace] = page.version
                for raw in page.items:
                    self.pod(raw, deleted=False)
                    pods.pop(_key(raw), None)
        # Another one may have the name by now.
        now = _uids(world)
        for session, uid in sessions.items():
            if now.get(session) == uid:
                world.drop_session(session)
                self.queue.add(Item("session", session))
        for pod in pods.values():
            self._drop_pod(pod)
            self._pod_changed(pod)
        return listed

    async def fill_few(self, kube: Kube, namespaces: Collection[str]) -> None:
        """Do so with VoiceAgents and cordoned nodes alone."""
        await self._fill_nodes(kube)
        world = self.world
        agents = {key: agent.uid for key, agent in world.agents.items()}
        for namespace in scopes(namespaces):
            for raw in await kube.list_all(VOICE_AGENTS, namespace):
                self.agent(raw, deleted=False)
                agents.pop(_key(raw), None)
        for agent, uid in agents.items():
            known = world.agents.get(agent)
            if known and known.uid == uid:
                self._forget_agent(agent)
                self.pool(agent)
                self.sessions_of(agent)

    async def _fill_nodes(self, kube: Kube) -> None:
        """List the cordoned nodes, if that is allowed; whether it is, is found out once."""
        world = self.world
        if not world.sees_nodes:
            return
        before = set(world.cordoned)
        try:
            found = await kube.list_all(NODES, None, field_selector=CORDONED)
        except Refused as error:
            world.sees_nodes = False
            logger.warning("a drain will not wait for calls, which other pods take over: %s", error)
            return
        if set(world.cordoned) == before:
            # If not, the watch has told of something later.
            now = {raw["metadata"]["name"] for raw in found}
            for node in sorted(before ^ now):
                self._cordoned(node, node in now)


def _is_of(known: Session | Pod, raw: Json) -> bool:
    """Whether an object is what is known of it already."""
    metadata = raw["metadata"]
    return (known.uid, str(known.version)) == (metadata["uid"], metadata["resourceVersion"])


def _uids(world: World) -> dict[Key, str]:
    return {key: record.session.uid for key, record in world.records.items()}


def _wanted(session: Session) -> tuple[object, ...]:
    """Return what others than the operator say of a session."""
    return session.uid, session.deleting, session.room_changed, session.spec


def _understood(parse: Callable[[Json], T], raw: Json) -> T | None:
    """Parse an object, or complain of it: one that was written past the CRD, or a pod that somebody
    labelled by hand, must not keep the others from being served."""
    try:
        return parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("%s/%s cannot be understood: %r", *_key(raw), error)
        return None


def _key(raw: Json) -> Key:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]
