"""What there is at the moment of a scrape, counted from the cache: nothing is kept for it.

A scrape is answered in a thread of its own, so that no call waits for it. What the event loop may
change meanwhile is copied in one step before it is counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicepod.api.conditions import ConditionType, condition
from voicepod.api.session import Phase
from voicepod.kube.events import Events
from voicepod.reconcile.loop import Queue
from voicepod.reconcile.metrics import AGENT, NOBODY
from voicepod.reconcile.objects import Agent
from voicepod.reconcile.world import World


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
        yield from self._pools(agents)
        yield GaugeMetricFamily(
            "voicepod_queue_depth", "Objects that wait to be looked at.", self.queue.depth
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
        for record in list(self.world.records.values()):
            key = record.session.agent, record.status.phase
            if key not in counts:
                key = NOBODY, key[1]
            counts[key] = counts.get(key, 0) + 1
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

    def _pools(self, agents: Sequence[Agent]) -> Iterator[Metric]:
        pods = GaugeMetricFamily(
            "voicepod_pool_pods",
            "Pods that wait for a session: warm, or on their way to be.",
            labels=(*AGENT, "state"),
        )
        least = GaugeMetricFamily(
            "voicepod_pool_min_pods", "pool.min of a VoiceAgent.", labels=AGENT
        )
        most = GaugeMetricFamily(
            "voicepod_pool_max_pods", "How many pods may wait at most.", labels=AGENT
        )
        wanted = GaugeMetricFamily(
            "voicepod_pool_wanted_pods",
            "Pods that should wait, by arrivals and refill time.",
            labels=AGENT,
        )
        arrivals = GaugeMetricFamily(
            "voicepod_pool_arrivals_per_minute",
            "Calls a minute, as the pool is sized by them.",
            labels=AGENT,
        )
        refill = GaugeMetricFamily(
            "voicepod_pool_refill_p95_seconds",
            "The 95th percentile of the last refill times, as the pool is sized by it.",
            labels=AGENT,
        )
        for agent in agents:
            wanted.add_metric(agent.key, agent.status.wanted)
            arrivals.add_metric(agent.key, agent.status.arrivals_per_minute)
            if agent.status.refill_seconds is not None:
                refill.add_metric(agent.key, agent.status.refill_seconds)
            idle = [
                pod
                for pod in self.world.idle_pods(agent.key)
                if not pod.deleting and not pod.finished
            ]
            states = Counter("warm" if pod.ready else "warming" for pod in idle)
            for state in ("warm", "warming"):
                pods.add_metric((*agent.key, state), states[state])
            least.add_metric(agent.key, agent.spec.pool.min)
            most.add_metric(agent.key, agent.spec.pool.most)
        yield from (pods, least, most, wanted, arrivals, refill)
