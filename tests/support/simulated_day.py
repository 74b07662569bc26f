"""A day of calls by chance, on nodes that come and go: what ``voicepod plan`` is checked against.

Every call and every pod is there by itself, and the operator's own ``Demand`` sizes the pool, call
after call. A pod goes to the fullest node that has room; a warm one is claimed on the node with the
most calls; a node goes when for a while it had no call, and its idle pods had room elsewhere.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Final

from voicepod.api.agent import MAX_POOL, Pool
from voicepod.plan.inputs import HOURS, Inputs
from voicepod.reconcile.demand import Demand

HOUR: Final = 3600.0
DAY: Final = HOURS * HOUR
MIDNIGHT: Final = datetime(2026, 1, 1, tzinfo=UTC)

# The day before is played as well, and not counted: the one that counts begins with its calls.
START: Final = -DAY

# In seconds: how often the operator looks at its pool, and the autoscaler at its nodes.
LOOK: Final = 30.0


@dataclass(eq=False, slots=True)
class Node:
    """A node, and what is on it."""

    ready: float
    calls: int = 0
    idle: list["IdlePod"] = field(default_factory=list)
    unneeded: float | None = None
    """Since when nothing on it needs it."""

    @property
    def pods(self) -> int:
        return self.calls + len(self.idle)


@dataclass(eq=False, slots=True)
class IdlePod:
    """A pod that waits for a call, or is on its way to."""

    made: float
    ready: float
    node: Node


@dataclass(slots=True)
class Totals:
    """What the day came to; seconds are those of all of a kind together."""

    calls: int = 0
    without_node: int = 0
    """Calls whose pod had to wait for a node."""
    node_seconds: float = 0.0
    idle_seconds: float = 0.0
    call_seconds: float = 0.0
    peak: int = 0
    """Nodes."""


class SimulatedDay:
    """One day; ``headroom`` is how many places for pods are kept free."""

    def __init__(self, inputs: Inputs, headroom: int, seed: int) -> None:
        self._inputs, self._headroom, self._chance = inputs, headroom, Random(seed)
        self._places = inputs.node.places(inputs.whole_pod, "a pod")
        self._pool = Pool(min=inputs.pool_min, max=MAX_POOL)
        self._demand = Demand()
        self._demand.refilled(inputs.pod_start)
        self._nodes: list[Node] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._now = START
        self.totals = Totals()

    def run(self) -> Totals:
        """Play the day."""
        self._draw_calls()
        self._at(START, self._look)
        while self._events:
            moment, _, happens = heapq.heappop(self._events)
            if moment >= DAY:
                break
            self._count_until(moment)
            self._now = moment
            happens()
        return self.totals

    def _draw_calls(self) -> None:
        for hour in range(2 * HOURS):
            rate = self._inputs.calls.hourly[hour % HOURS] / HOUR
            begin = moment = START + hour * HOUR
            while rate and (moment := moment + self._chance.expovariate(rate)) < begin + HOUR:
                self._at(moment, self._arrive)

    def _at(self, moment: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), happens))

    def _count_until(self, moment: float) -> None:
        seconds, totals = max(0.0, moment - max(0.0, self._now)), self.totals
        totals.node_seconds += seconds * len(self._nodes)
        totals.idle_seconds += seconds * sum(len(node.idle) for node in self._nodes)
        totals.call_seconds += seconds * sum(node.calls for node in self._nodes)
        if seconds:
            totals.peak = max(totals.peak, len(self._nodes))

    def _clock(self) -> datetime:
        return MIDNIGHT + timedelta(seconds=self._now)

    def _arrive(self) -> None:
        warm = [pod for node in self._nodes for pod in node.idle if pod.ready <= self._now]
        if warm:
            pod = max(warm, key=lambda pod: (pod.node.calls, -pod.made))
            node, wait = pod.node, 0.0
            node.idle.remove(pod)
        else:
            node = self._place()
            wait = max(0.0, node.ready - self._now) + self._inputs.pod_start
        node.calls += 1
        if self._now >= 0:
            self.totals.calls += 1
            self.totals.without_node += node.ready > self._now
        calls = self._inputs.calls
        talking = self._chance.expovariate(1 / calls.talking)
        self._at(self._now + wait + talking + calls.waiting, lambda: self._hang_up(node))
        self._demand.arrived(self._clock())
        self._size_pool()

    @staticmethod
    def _hang_up(node: Node) -> None:
        node.calls -= 1

    def _look(self) -> None:
        self._size_pool()
        for node in sorted(self._nodes, key=lambda node: node.pods):
            self._release(node)
        self._at(self._now + LOOK, self._look)

    def _release(self, node: Node) -> None:
        """Let a node go that was not needed for long enough; its idle pods are made elsewhere."""
        elsewhere = self._room() - (self._places - node.pods)
        if node.calls or node.ready > self._now or elsewhere < self._headroom + len(node.idle):
            node.unneeded = None
            return
        node.unneeded = self._now if node.unneeded is None else node.unneeded
        if self._now - node.unneeded >= self._inputs.node.idle:
            self._nodes.remove(node)
            self._size_pool()

    def _size_pool(self) -> None:
        wanted = self._demand.wanted(self._pool, self._clock())
        idle = [pod for node in self._nodes for pod in node.idle]
        for _ in range(wanted - len(idle)):
            node = self._place()
            ready = max(self._now, node.ready) + self._inputs.pod_start
            node.idle.append(IdlePod(self._now, ready, node))
        newest_first = sorted(idle, key=lambda pod: -pod.made)
        for pod in newest_first[: max(0, len(idle) - wanted)]:
            pod.node.idle.remove(pod)
        while self._room() < self._headroom:
            self._add_node()

    def _room(self) -> int:
        return sum(self._places - node.pods for node in self._nodes)

    def _place(self) -> Node:
        """Return the node that the next pod goes to."""
        free = [node for node in self._nodes if node.pods < self._places]
        if not free:
            return self._add_node()
        ready = [node for node in free if node.ready <= self._now]
        return max(ready or free, key=lambda node: node.pods)

    def _add_node(self) -> Node:
        self._nodes.append(Node(self._now + self._inputs.node.start))
        return self._nodes[-1]
