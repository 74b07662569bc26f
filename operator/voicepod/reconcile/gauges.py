"""What there is at the moment of a scrape, counted from the cache: nothing is kept for it.

A scrape is answered in a thread of its own, so that no call waits for it. What the event loop may
change meanwhile is copied in one step before it is counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicepod.api.conditions import ConditionType, condition
from voicepod.api.session import Phase
from voicepod.kube.events import Events
from voicepod.reconcile.loop import Queue
from voicepod.reconcile.metrics import AGENT, NOBODY
from voicepod.reconcile.objects import Agent
from voicepod.reconcile.world import World


def tell_of_process(registry: CollectorRegistry, leads: Callable[[], bool]) -> None:
    """Have an operator tell of itself, be it one that leads or one that stands by."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    leader = Gauge(
        "voicepod_leader",
        "1 for the operator that leads; 0 for one that stands by.",
        registry=registry,
    )
    leader.set_function(leads)


# eq=False: a registry keeps its collectors as keys.
@dataclass(frozen=True, slots=True, eq=False)
class Gauges(Collector):
    """Tells of VoiceAgents, their sessions and pools, and of what waits to be done."""

    world: World
    queue: Queue
    events: Events

    def collect(self) -> Iterator[Metric]:
        """Return all gauges."""
        agents = list(self.world.agents.values())
        yield self._sessions(agents)
        yield self._ready(agents)
        yield self._places(agents)
        yield self._headroom(agents)
        yield from self._pools(agents)
        yield from self._drains(agents)
        yield GaugeMetricFamily(
            "voicepod_queue_depth",
            "Objects that wait to be looked at.",
            self.queue.depth + len(self.world.unlisted),
        )
        yield GaugeMetricFamily(
            "voicepod_calls_unseen",
            "Calls that go on, and that this operator has yet to look at since it leads.",
            self.queue.patient,
        )
        yield GaugeMetricFamily(
            "voicepod_sessions_untidied",
            "Sessions that are over, and whose pods or themselves wait to be deleted.",
            self.queue.late,
        )
        yield CounterMetricFamily(
            "voicepod_events_dropped",
            "Kubernetes Events that were not posted because too many waited.",
            self.events.dropped,
        )

    def _sessions(self, agents: Sequence[Agent]) -> Metric:
        family = GaugeMetricFamily(
            "voicepod_sessions", "Sessions that are there, by phase.", labels=(*AGENT, "phase")
        )
        counts = {(agent.key, phase): 0 for agent in agents for phase in Phase}
        for agent, roster in self.world.rosters().items():
            for phase, count in roster.phases.copy().items():
                key = (agent if (agent, phase) in counts else NOBODY), phase
                counts[key] = counts.get(key, 0) + count
        for (names, phase), count in counts.items():
            family.add_metric((*names, phase), count)
        return family

    @staticmethod
    def _ready(agents: Sequence[Agent]) -> Metric:
        family = GaugeMetricFamily(
            "voicepod_agent_ready",
            "1 when sessions of a VoiceAgent can start; 0 when not, and why.",
            labels=(*AGENT, "reason"),
        )
        for agent in agents:
            if ready := condition(agent.status.conditions, ConditionType.READY):
                family.add_metric((*agent.key, ready.reason), ready.status == "True")
        return family

    @staticmethod
    def _places(agents: Sequence[Agent]) -> Metric:
        family = GaugeMetricFamily(
            "voicepod_max_sessions",
            "capacity.maxSessions of a VoiceAgent that has one.",
            labels=AGENT,
        )
        for agent in agents:
            if agent.spec.capacity.max_sessions is not None:
                family.add_metric(agent.key, agent.spec.capacity.max_sessions)
        return family

    @staticmethod
    def _headroom(agents: Sequence[Agent]) -> Metric:
        family = GaugeMetricFamily(
            "voicepod_headroom_pods",
            "Placeholders that hold room on a node, of a VoiceAgent with capacity.headroom.",
            labels=AGENT,
        )
        for agent in agents:
            if agent.status.headroom:
                family.add_metric(agent.key, agent.status.headroom.ready)
        return family

    @staticmethod
    def _drains(agents: Sequence[Agent]) -> Iterator[Metric]:
        calls = GaugeMetricFamily(
            "voicepod_draining_calls", "Calls that are on cordoned nodes.", labels=AGENT
        )
        end = GaugeMetricFamily(
            "voicepod_draining_end_timestamp_seconds",
            "Unix time at which the last of them is over at the latest.",
            labels=AGENT,
        )
        for agent in agents:
            calls.add_metric(agent.key, agent.status.draining)
            if agent.status.drained_by:
                end.add_metric(agent.key, agent.status.drained_by.timestamp())
        yield from (calls, end)

    def _pools(self, agents: Sequence[Agent]) -> Iterator[Metric]:
        gauge = partial(GaugeMetricFamily, labels=AGENT)
        pods = GaugeMetricFamily(
            "voicepod_pool_pods",
            "Pods that wait for a session (warm), or are on their way to it (warming).",
            labels=(*AGENT, "state"),
        )
        least = gauge("voicepod_pool_min_pods", "pool.min of a VoiceAgent.")
        most = gauge(
            "voicepod_pool_max_pods", "pool.max of a VoiceAgent, or what it is when not set."
        )
        wanted = gauge(
            "voicepod_pool_wanted_pods", "Pods that should wait, by arrivals and refill time."
        )
        arrivals = gauge(
            "voicepod_pool_arrivals_per_minute", "Calls a minute, as the pool is sized by them."
        )
        refill = gauge(
            "voicepod_pool_refill_p95_seconds",
            "The 95th percentile of the last refill times, as the pool is sized by it.",
        )
        for agent in agents:
            key, pool, status = agent.key, agent.spec.pool, agent.status
            idle = [
                pod for pod in self.world.idle_pods(key) if not pod.deleting and not pod.finished
            ]
            states = Counter("warm" if pod.ready else "warming" for pod in idle)
            for state in ("warm", "warming"):
                pods.add_metric((*key, state), states[state])
            least.add_metric(key, pool.min)
            most.add_metric(key, pool.most)
            wanted.add_metric(key, status.wanted)
            arrivals.add_metric(key, status.arrivals_per_minute)
            if status.refill_seconds is not None:
                refill.add_metric(key, status.refill_seconds)
        yield from (pods, least, most, wanted, arrivals, refill)
