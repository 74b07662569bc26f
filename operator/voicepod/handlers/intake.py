"""Takes news over into the world, and enqueues what has to be reconciled because of it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from voicepod.api.names import BUDGET
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
    _noted: dict[int, set[str]] = field(default_factory=dict)

    def agent(self, raw: Json, deleted: bool) -> None:
        """Take over a VoiceAgent."""
        agent = _understood(parse_agent, raw)
        if agent is None:
            return
        known = self.world.agents.get(agent.key)
        if deleted:
            self._note_gone(agent.uid)
            if known and known.uid != agent.uid:
                # Made anew under its name, of which a list has told already.
                return
            self.forget_agent(agent.key)
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

    def forget_agent(self, key: Key) -> None:
        """Forget a VoiceAgent that is gone."""
        self.world.drop_agent(key)
        self.metrics.forget(key)

    def sessions_of(self, agent: Key) -> None:
        """Have all unfinished sessions of a VoiceAgent reconciled."""
        for record in self.world.sessions_of(agent):
            if not record.phase.finished:
                self._look_at(record)

    def _look_at(self, record: Record) -> None:
        """Have a session reconciled, the later if its call seems to go on as it should.

        One that is unlisted is looked at when it is not any more.
        """
        if record.session.key in self.world.unlisted:
            return
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
        record = self.world.records.get(key_of(raw))
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
        else:
            self._note_gone(session.uid)
            if known and known.uid == session.uid:
                self.world.drop_session(session.key)
        if deleted or known is None or _wanted(known) != _wanted(session):
            # Not for an echo of the operator's own status: that would undo the backoff.
            self.queue.add(Item("session", session.key))
        self._count(session.agent)

    def pod(self, raw: Json, deleted: bool) -> None:
        """Take over an agent pod."""
        known = self.world.pods.get(key_of(raw))
        if known and not deleted and _is_of(known, raw):
            self._count(known.agent)
            return
        pod = _understood(parse_pod, raw)
        if pod is None:
            return
        if deleted:
            self._note_gone(pod.uid)
            self._drop_pod(pod)
        else:
            self.world.put_pod(pod)
        self.metrics.pod(known, pod)
        self._pod_changed(pod)
        if known and known.session is None and pod.session:
            # Claimed, and the answer to the claim got lost.
            self.pool(pod.agent)

    def forget_session(self, key: Key) -> None:
        """Forget a VoiceSession that is gone, and have what it left behind reconciled."""
        self.world.drop_session(key)
        self.queue.add(Item("session", key))

    def forget_pod(self, pod: Pod) -> None:
        """Forget an agent pod that is gone, and have whom it belonged to reconciled."""
        self._drop_pod(pod)
        self._pod_changed(pod)

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
        goes = record and record.phase.finished and pod.deleting
        # It is what was left of a call that is over then, and goes as it should. And whoever is
        # unlisted will be looked at, after those who wait.
        if not goes and pod.session not in self.world.unlisted:
            self.queue.add(Item("session", pod.session))
        if pod.node in self.world.cordoned:
            self._guard(pod.key[0])

    def _guard(self, namespace: str) -> None:
        """Have it looked at whether calls of a namespace need a PodDisruptionBudget."""
        self.queue.add(Item("budget", (namespace, BUDGET)))

    def node(self, raw: Json, deleted: bool) -> None:
        """Take over a node: whether it takes new pods is all that counts."""
        cordoned = not deleted and bool(raw["spec"].get("unschedulable"))
        self.cordoned(raw["metadata"]["name"], cordoned)

    def cordoned(self, node: str, cordoned: bool) -> None:
        """Take over whether a node is cordoned."""
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
        for record in world.records.values():
            self._look_at(record)
        if not world.unlisted:
            self._look_at_all_else()

    def listed(self) -> None:
        """Have all the rest reconciled: nothing is unlisted any more."""
        world = self.world
        unlisted, world.unlisted = world.unlisted, frozenset()
        for session in unlisted:
            if record := world.records.get(session):
                self._look_at(record)
            else:
                # It has gone meanwhile, and may have left a place that somebody waits for.
                self.queue.add(Item("session", session))
        self._look_at_all_else()

    def _look_at_all_else(self) -> None:
        """Have reconciled what is no session, and what sessions have left behind."""
        world = self.world
        for agent in world.agents:
            self._agent_changed(agent)
            self._guard(agent[0])
        for pod in world.pods.values():
            if pod.session not in world.records:
                # It waits; or its session is gone, and its agent may be as well.
                self._pod_changed(pod)
            elif pod.node in world.cordoned:
                self._guard(pod.key[0])

    @contextmanager
    def deletions(self) -> Iterator[set[str]]:
        """Note the uid of each VoiceAgent, session and pod that is told to be gone meanwhile.

        What a list of a moment before still has must not come back by it.
        """
        gone: set[str] = set()
        self._noted[id(gone)] = gone
        try:
            yield gone
        finally:
            del self._noted[id(gone)]

    def _note_gone(self, uid: str) -> None:
        for gone in self._noted.values():
            gone.add(uid)


def _is_of(known: Session | Pod, raw: Json) -> bool:
    """Whether an object is what is known of it already."""
    metadata = raw["metadata"]
    return (known.uid, str(known.version)) == (metadata["uid"], metadata["resourceVersion"])


def _wanted(session: Session) -> tuple[object, ...]:
    """Return what others than the operator say of a session."""
    return session.uid, session.deleting, session.room_changed, session.spec


def _understood(parse: Callable[[Json], T], raw: Json) -> T | None:
    """Parse an object, or complain of it: one that was written past the CRD, or a pod that somebody
    labelled by hand, must not keep the others from being served."""
    try:
        return parse(raw)
    except (KeyError, TypeError, ValueError) as error:
        logger.warning("%s/%s cannot be understood: %r", *key_of(raw), error)
        return None


def key_of(raw: Json) -> Key:
    """Return an object's namespace and name."""
    return raw["metadata"]["namespace"], raw["metadata"]["name"]
