"""Who has a place, who waits for one, and whose turn it is when one becomes free.

Nothing is polled, and nothing is counted where there is no limit. In a namespace with one, each
session is looked at before it is decided about: it has its place already, gets one, or stands in
line. A session that is over leaves its place to the first in line, who is decided about then.

A place is taken before the pod is claimed, and so a limit holds whoever claims at the same time.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

from voicepod.api.capacity import WhenFull
from voicepod.api.conditions import Reason
from voicepod.reconcile.capacity import (
    POSITION_PERIOD,
    Ticket,
    Wait,
    admitted,
    in_order,
    ticket_of,
)
from voicepod.reconcile.draft import exactly
from voicepod.reconcile.objects import Key
from voicepod.reconcile.records import Record
from voicepod.reconcile.world import World

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class _Line:
    """The places of a namespace, and those who wait for one."""

    most: float
    """How many places the operator allows."""
    held: dict[Key, Ticket] = field(default_factory=dict)
    waiting: dict[Key, Ticket] = field(default_factory=dict)
    by_agent: Counter[Key] = field(default_factory=Counter)
    """How many places each VoiceAgent has."""
    by_tenant: Counter[str] = field(default_factory=Counter)

    @property
    def free(self) -> float:
        """How many places of the namespace are free."""
        return self.most - len(self.held)

    def give(self, ticket: Ticket) -> None:
        """Give a session a place."""
        self.drop(ticket.session)
        self.held[ticket.session] = ticket
        self.by_agent[ticket.agent] += 1
        self.by_tenant[ticket.tenant] += 1

    def stand(self, ticket: Ticket) -> None:
        """Have a session stand in line."""
        self.drop(ticket.session)
        self.waiting[ticket.session] = ticket

    def drop(self, session: Key) -> None:
        """Forget a session."""
        self.waiting.pop(session, None)
        if ticket := self.held.pop(session, None):
            _one_less(self.by_agent, ticket.agent)
            _one_less(self.by_tenant, ticket.tenant)


def _one_less(counts: Counter[K], key: K) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]


@dataclass(frozen=True, slots=True)
class Places:
    """Gives sessions their places, in all namespaces."""

    world: World
    clock: Callable[[], datetime]
    limits: Mapping[str, int]
    """How many sessions a namespace may have at once, as the operator's settings say."""
    on_turn: Callable[[Key], None]
    """Called with a session that waited and has got a place."""
    _lines: dict[str, _Line] = field(default_factory=dict)

    def enter(self, record: Record) -> None:
        """Give a session a place, or have it stand in line; in vain where there is no limit."""
        session, agent = record.session, self.world.agent_of(record.session)
        limited = session.key[0] in self.limits or (agent and agent.spec.capacity.max_sessions)
        if record.phase.finished or not (limited or session.key[0] in self._lines):
            return
        line = self._opened(session.key[0])
        held = line.held.get(session.key)
        if self._has_pod(record):
            line.give(self._ticket(record))
        elif agent is None:
            # Nobody knows its limits, and it cannot start.
            self.forget(session.key)
        elif held is None or held.uid != session.uid:
            line.stand(self._ticket(record))
            self._admit(line, session.key)

    def wait(self, record: Record, now: datetime) -> Wait | None:
        """Return why a session has no place yet; None when it has one, or needs none."""
        session, agent = record.session, self.world.agent_of(record.session)
        line = self._lines.get(session.key[0])
        ticket = line.waiting.get(session.key) if line else None
        if line is None or ticket is None or agent is None:
            return None
        capacity, written = agent.spec.capacity, record.status.queue
        if line.free <= 0 < self._free(line, agent.key):
            reason, whose = Reason.NAMESPACE_FULL, f"namespace {agent.key[0]}"
            most: float | None = line.most
        else:
            reason, whose = Reason.AGENT_FULL, f"VoiceAgent {agent.key[1]}"
            most = capacity.max_sessions
        if written and now < written.at + POSITION_PERIOD:
            position = written.position
        else:
            position = self._position(line, ticket, reason)
        return Wait(
            reason,
            f"{most} of {most} places of {whose} are taken",
            position,
            capacity.when_full is WhenFull.REJECT,
            timedelta(seconds=capacity.queue_seconds),
        )

    def withdraw(self, record: Record) -> None:
        """Take a session out that cannot start now, unless it has a pod, or may have one."""
        over = record.phase.finished
        if not (over or record.claim_unsure or self._has_pod(record)):
            self.forget(record.session.key)

    def forget(self, session: Key) -> None:
        """Take a session out that is over, and give its place to the next one."""
        if line := self._lines.get(session[0]):
            line.drop(session)
            self._admit(line)

    def _opened(self, namespace: str) -> _Line:
        """Return a namespace's places, counted when they are asked for the first time."""
        line = self._lines.get(namespace)
        if line is None:
            line = self._lines[namespace] = _Line(self.limits.get(namespace, math.inf))
            for record in self.world.records.values():
                if record.session.key[0] == namespace and self._has_pod(record):
                    line.give(self._ticket(record))
                record.rest()
        return line

    def _admit(self, line: _Line, entering: Key | None = None) -> None:
        if not line.waiting or line.free <= 0:
            return
        agents = {ticket.agent for ticket in line.waiting.values()}
        room = {agent: free for agent in agents if (free := self._free(line, agent)) > 0}
        waiting = [ticket for ticket in line.waiting.values() if ticket.agent in room]
        for ticket in admitted(waiting, line.by_tenant, room, line.free):
            line.give(ticket)
            if ticket.session != entering:
                self.on_turn(ticket.session)

    def _free(self, line: _Line, key: Key) -> float:
        agent = self.world.agents.get(key)
        most = agent.spec.capacity.max_sessions if agent else 0
        return math.inf if most is None else most - line.by_agent[key]

    def _position(self, line: _Line, ticket: Ticket, reason: Reason) -> int:
        rivals = [
            other
            for other in line.waiting.values()
            if reason is Reason.NAMESPACE_FULL or other.agent == ticket.agent
        ]
        return 1 + list(in_order(rivals, line.by_tenant)).index(ticket)

    def _has_pod(self, record: Record) -> bool:
        """Whether a session has a pod, or had one that was lost: its call goes on."""
        if record.phase.finished:
            return False
        return record.status.times.claimed is not None or bool(self.world.pods_of(record.session))

    def _ticket(self, record: Record) -> Ticket:
        session, agent = record.session, self.world.agent_of(record.session)
        came = record.status.times.received or exactly(session.created, self.clock())
        return ticket_of(session, agent.spec.capacity.tenant_from if agent else None, came)
