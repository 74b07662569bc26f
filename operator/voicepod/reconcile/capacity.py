"""Who of those who wait for a place goes next. Pure.

A place is what a session has from the claim of its pod until it is over. Of those who wait, the
highest priority goes first. Among its equals it is the turn of the tenant that has the fewest
places, and of two with as many, of the one whose next session came first; a tenant's own sessions
go in the order in which they came.

All of it follows from who has a place and who waits: there is nothing to remember, and so an
operator that is restarted goes on with the same line.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from voicepod.api.capacity import TenantFrom
from voicepod.api.conditions import Reason
from voicepod.reconcile.objects import Key, Session

# Each position is a write, and the line moves with each call that ends: a session that waits for
# its two minutes costs two of them.
POSITION_PERIOD: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Ticket:
    """What gives a session its place in the line, and whom that place counts for."""

    session: Key
    uid: str
    agent: Key
    tenant: str
    priority: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a session has no place, and for how long it may go without."""

    reason: Reason
    message: str
    position: int
    """1 is the next; up to ``POSITION_PERIOD`` old."""
    rejects: bool
    """It is not to wait."""
    deadline: timedelta


def ticket_of(session: Session, tenants: TenantFrom | None, since: datetime) -> Ticket:
    """Return the ticket of a session that came at ``since``."""
    return Ticket(
        session.key,
        session.uid,
        session.agent,
        _tenant(session, tenants),
        session.spec.priority,
        since,
    )


def _tenant(session: Session, tenants: TenantFrom | None) -> str:
    if tenants is None:
        # Where a namespace is full, its VoiceAgents share it as tenants do.
        return session.agent[1]
    if tenants.label:
        return session.labels.get(tenants.label, "")
    return session.spec.room.partition(tenants.room_delimiter or "")[0]


def admitted(
    waiting: Iterable[Ticket], held: Mapping[str, int], room: Mapping[Key, float], most: float
) -> list[Ticket]:
    """Return who gets a place now, in their order.

    ``held`` counts each tenant's places, ``room`` what is free of each VoiceAgent, and ``most``
    what is free of the namespace.
    """
    left, chosen = dict(room), list[Ticket]()
    if most <= 0:
        return chosen
    for ticket in in_order(waiting, held, lambda ticket: left[ticket.agent] > 0):
        chosen.append(ticket)
        left[ticket.agent] -= 1
        if len(chosen) >= most:
            break
    return chosen


def in_order(
    waiting: Iterable[Ticket],
    held: Mapping[str, int],
    may_go: Callable[[Ticket], bool] = lambda _: True,
) -> Iterator[Ticket]:
    """Yield the tickets in the order in which they go, if nobody comes and no call ends.

    Each is asked for when it is its turn, and left out when it may not go.
    """
    places = Counter(held)
    levels: dict[int, list[Ticket]] = defaultdict(list)
    for ticket in sorted(waiting, key=lambda ticket: (ticket.since, ticket.session)):
        levels[ticket.priority].append(ticket)
    for priority in sorted(levels, reverse=True):
        yield from _level(levels[priority], places, may_go)


def _level(
    tickets: Iterable[Ticket], places: Counter[str], may_go: Callable[[Ticket], bool]
) -> Iterator[Ticket]:
    """Yield the tickets of one priority, which are sorted, and count their places."""
    lines: dict[str, deque[Ticket]] = defaultdict(deque)
    for ticket in tickets:
        lines[ticket.tenant].append(ticket)
    turns = [_turn(line, places) for line in lines.values()]
    heapq.heapify(turns)
    while turns:
        line = lines[heapq.heappop(turns)[-1]]
        ticket = line.popleft()
        if may_go(ticket):
            places[ticket.tenant] += 1
            yield ticket
        if line:
            heapq.heappush(turns, _turn(line, places))


def _turn(line: deque[Ticket], places: Counter[str]) -> tuple[int, datetime, Key, str]:
    first = line[0]
    return places[first.tenant], first.since, first.session, first.tenant
