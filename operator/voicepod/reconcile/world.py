"""What the operator knows: sessions, agents and pods as last seen, and what it learned of each.

Everything here is a cache. It is filled by lists and watches, and read by the reconciler without
a request to anybody.
"""

from collections.abc import Set
from dataclasses import dataclass, field, replace
from datetime import datetime

from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.session import Phase
from voicepod.reconcile.demand import Demand
from voicepod.reconcile.objects import Agent, Key, Pod, Session
from voicepod.reconcile.records import Record, Roster
from voicepod.reconcile.templates import Outcomes


@dataclass(slots=True)
class World:
    """All sessions, agents and pods.

    An older version of an object, or an older object of its name, never replaces a newer one.
    """

    agents: dict[Key, Agent] = field(default_factory=dict)
    records: dict[Key, Record] = field(default_factory=dict)
    pods: dict[Key, Pod] = field(default_factory=dict)
    demands: dict[Key, Demand] = field(default_factory=dict)
    """By VoiceAgent."""
    outcomes: dict[Key, Outcomes] = field(default_factory=dict)
    """By VoiceAgent."""
    claiming: set[str] = field(default_factory=set)
    """Uids of warm pods that a session is about to claim: nobody else shall try them."""
    cordoned: dict[str, datetime] = field(default_factory=dict)
    """Nodes that take no new pods, with when that was heard: they are being drained, or will be."""
    sees_nodes: bool = True
    """Whether the API server lets us know which nodes those are."""
    unlisted: Set[Key] = frozenset()
    """Sessions of which nobody knows yet which pods they have, shortly after a start."""
    _pods_of: dict[Key, dict[Key, Pod]] = field(default_factory=dict)
    _idle_of: dict[Key, dict[Key, Pod]] = field(default_factory=dict)
    _live_on: dict[str, dict[Key, Pod]] = field(default_factory=dict)
    """By node, the pods with a call."""
    _rosters: dict[Key, Roster] = field(default_factory=dict)
    _sessions_in: dict[str, set[Key]] = field(default_factory=dict)

    def start_over(self) -> None:
        """Take the API server's word for everything: another operator has led until now."""
        for record in self.records.values():
            record.believe()
        for agent in self.agents.values():
            self.demands[agent.key] = Demand.from_status(agent.status)

    def put_agent(self, agent: Agent) -> None:
        """Take over a VoiceAgent."""
        known = self.agents.get(agent.key)
        if known is None or known.version <= agent.version:
            self.agents[agent.key] = agent
            if known is None or known.uid != agent.uid:
                self.demands[agent.key] = Demand.from_status(agent.status)
                self.outcomes[agent.key] = Outcomes()

    def put_status(self, written: Agent) -> None:
        """Take over what an own write has made of a VoiceAgent's status.

        Its spec is for the watch to tell: who takes a change over by the way has nobody look at it.
        """
        known = self.agents.get(written.key)
        if known and known.uid == written.uid and known.version <= written.version:
            self.agents[known.key] = replace(known, version=written.version, status=written.status)

    def drop_agent(self, key: Key) -> None:
        """Forget a VoiceAgent."""
        self.agents.pop(key, None)
        self.demands.pop(key, None)
        self.outcomes.pop(key, None)

    def put_session(self, session: Session) -> None:
        """Take over a VoiceSession; a touched annotation makes what is known of its room stale."""
        record = self.records.get(session.key)
        if record and record.session.version > session.version:
            return
        if record is None or record.session.uid != session.uid:
            self.drop_session(session.key)
            roster = self._rosters.setdefault(session.agent, Roster())
            record = self.records[session.key] = Record.of(session, roster)
            roster.add(record)
            self._sessions_in.setdefault(session.spec.room, set()).add(session.key)
        else:
            record.room_stale |= record.session.room_changed != session.room_changed
            record.session = session

    def has(self, record: Record) -> bool:
        """Whether a session is there as before: neither gone meanwhile nor made anew."""
        return self.records.get(record.session.key) is record

    def drop_session(self, key: Key) -> None:
        """Forget a VoiceSession."""
        record = self.records.pop(key, None)
        if record:
            self._drop_from_roster(record)
            room = record.session.spec.room
            self._sessions_in[room].discard(key)
            if not self._sessions_in[room]:
                del self._sessions_in[room]

    def _drop_from_roster(self, record: Record) -> None:
        roster = self._rosters[record.session.agent]
        roster.drop(record)
        if not roster.records:
            del self._rosters[record.session.agent]

    def put_pod(self, pod: Pod) -> None:
        """Take over an agent pod."""
        known = self.pods.get(pod.key)
        if known and known.version > pod.version:
            return
        if known:
            self._unlist(known)
            if known.uid == pod.uid and known.placed and pod.placed not in (None, known.placed):
                # Room was made for it before it got its node: that belongs to its start.
                pod = replace(pod, placed=known.placed)
        self.pods[pod.key] = pod
        self._list(pod)
        if pod.session is None and pod.ready_since and not (known and known.ready):
            self._refilled(pod, pod.ready_since)
        if pod.session and pod.finished and not (known and known.finished):
            self._doubt_room(pod.session)

    def drop_pod(self, key: Key, uid: str) -> None:
        """Forget an agent pod, unless another one has its name by now."""
        pod = self.pods.get(key)
        if pod and pod.uid == uid:
            del self.pods[key]
            self._unlist(pod)
            if pod.session:
                self._doubt_room(pod.session)

    def _index(self, pod: Pod) -> tuple[dict[Key, dict[Key, Pod]], Key]:
        """Return where a pod is found by whom it belongs to."""
        return (self._pods_of, pod.session) if pod.session else (self._idle_of, pod.agent)

    def _refilled(self, pod: Pod, ready: datetime) -> None:
        if demand := self.demands.get(pod.agent):
            # Not since it was made: more pods would not bring a node sooner, and need one as well.
            demand.refilled((ready - (pod.placed or pod.created)).total_seconds())

    def _list(self, pod: Pod) -> None:
        index, key = self._index(pod)
        index.setdefault(key, {})[pod.key] = pod
        if _has_call(pod):
            self._live_on.setdefault(pod.node, {})[pod.key] = pod

    def _unlist(self, pod: Pod) -> None:
        index, key = self._index(pod)
        del index[key][pod.key]
        if not index[key]:
            del index[key]
        if _has_call(pod):
            del self._live_on[pod.node][pod.key]
            if not self._live_on[pod.node]:
                del self._live_on[pod.node]

    def _doubt_room(self, session: Key) -> None:
        # An agent that is gone may have left because its caller did.
        if record := self.records.get(session):
            record.room_stale = True

    def pods_of(self, session: Session) -> list[Pod]:
        """Return a session's pods, the newest first.

        A generation has two when a claim of the operator that led before is granted late: the one
        that has the call stays the first.
        """
        pods = [pod for pod in self.pods_named_for(session.key) if pod.owner == session.uid]
        if len(pods) < 2:
            return pods
        record = self.records.get(session.key)
        ours = record.status.pod if record else ""
        return sorted(pods, key=lambda pod: (-pod.generation, pod.key[1] != ours))

    def pods_named_for(self, session: Key) -> list[Pod]:
        """Return the pods of all sessions that have, or had, this name."""
        return list(self._pods_of.get(session, {}).values())

    def idle_pods(self, agent: Key) -> list[Pod]:
        """Return the pods of a VoiceAgent that no session has."""
        return list(self._idle_of.get(agent, {}).values())

    def calls_on(self, node: str) -> int:
        """Return how many pods with a call a node has."""
        return len(self._live_on.get(node, {}))

    def live_pods_on(self, node: str) -> list[Pod]:
        """Return the pods with a call that a node has."""
        return list(self._live_on.get(node, {}).values())

    def rosters(self) -> dict[Key, Roster]:
        """Return the sessions, by their VoiceAgents, which need not be there."""
        return dict(self._rosters)

    def roster_of(self, agent: Key) -> Roster:
        """Return the sessions of a VoiceAgent."""
        return self._rosters.get(agent) or Roster()

    def sessions_of(self, agent: Key) -> list[Record]:
        """Return the sessions of a VoiceAgent."""
        return list(self.roster_of(agent).records.values())

    def is_calm(self, record: Record) -> bool:
        """Whether a call goes on, and nothing else is known of it.

        A room that was touched, a hint, a pod that is not ready: somebody may be waiting for an
        agent.
        """
        session = record.session
        hinted = record.room_stale or record.call_stale
        told = hinted or session.deleting or session.spec.end or session.room_changed
        return record.phase is Phase.ACTIVE and not told and self.has_agent(record)

    def has_agent(self, record: Record) -> bool:
        """Whether a call has its agent, and the agent's pod is as it should be."""
        if record.phase not in (Phase.ACTIVE, Phase.RECONNECTING, Phase.ENDING):
            return False
        pods = self.pods_of(record.session)
        return len(pods) == 1 and pods[0].ready and not pods[0].deleting

    def agent_of(self, session: Session) -> Agent | None:
        """Return a session's VoiceAgent."""
        return self.agents.get(session.agent)

    def room_holder(self, record: Record) -> Session | None:
        """Return the other session that has this session's room, if one came first.

        The one that has a pod comes before one that has none, then the older one.
        """
        others = self._sessions_in.get(record.session.spec.room, set()) - {record.session.key}
        rivals = [self.records[key] for key in others if self._same_room(self.records[key], record)]
        first = min([record, *rivals], key=_precedence)
        return None if first is record else first.session

    def _same_room(self, other: Record, record: Record) -> bool:
        if other.phase.finished or other.status.end_reason:
            return False
        if _sid(record) and _sid(other):
            # Unique, by whichever URL the server is reached.
            return _sid(record) == _sid(other)
        ours, theirs = self._spec_of(record), self._spec_of(other)
        return bool(ours and theirs and ours.livekit.url == theirs.livekit.url)

    def _spec_of(self, record: Record) -> VoiceAgentSpec | None:
        # After a start not every session has been looked at, and they hold their rooms already.
        agent = self.agent_of(record.session)
        return agent.spec if agent else record.agent_spec


def _has_call(pod: Pod) -> bool:
    return pod.session is not None and not pod.finished


def _sid(record: Record) -> str:
    return record.status.room_sid or record.session.spec.room_sid


def _precedence(record: Record) -> tuple[bool, datetime, bool, Key]:
    session = record.session
    # Of two that were made in one second, whichever names no sid was there before the room was: a
    # gateway that had not heard of it made the other one by a webhook of the room.
    after_room = bool(session.spec.room_sid)
    return record.status.times.claimed is None, session.created, after_room, session.key
