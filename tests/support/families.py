"""Every metric of operator and gateway, as it is declared."""

from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from tests.support.operator_stage import Stage
from voicepod.gateway.metrics import Metrics as GatewayMetrics
from voicepod.observability.requests import kube_requests, livekit_requests, pod_requests
from voicepod.reconcile.gauges import Gauges, tell_of_process

# What Prometheus knows each suffix of.
_SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum"),
}


@dataclass(frozen=True, slots=True)
class Family:
    """A metric by the name that its series begin with."""

    name: str
    type: str
    help: str
    labels: tuple[str, ...]

    @property
    def title(self) -> str:
        """What it is called in Prometheus."""
        return f"{self.name}_total" if self.type == "counter" else self.name

    @property
    def series(self) -> dict[str, frozenset[str]]:
        """The names of its series, each with its labels."""
        return {
            self.name + suffix: frozenset(self.labels) | ({"le"} if suffix == "_bucket" else set())
            for suffix in _SUFFIXES[self.type]
        }


def operator_families() -> list[Family]:
    """Those of the operator that are our own."""
    stage = Stage()
    registry = stage.metrics.registry
    for requests in (kube_requests, livekit_requests, pod_requests):
        requests(registry)
    tell_of_process(registry, lambda: True)
    registry.register(Gauges(stage.world, stage.queue, stage.events))
    return _families(registry)


def gateway_families() -> list[Family]:
    """Those of the gateway."""
    registry = GatewayMetrics().registry
    for requests in (kube_requests, livekit_requests):
        requests(registry)
    return _families(registry)


def _families(registry: CollectorRegistry) -> list[Family]:
    found = [
        Family(family.name, family.type, family.documentation, _labels(collector, family))
        for collector in list(registry._collector_to_names)
        for family in collector.collect()
        if family.name.startswith("voicepod_")
    ]
    return sorted(found, key=lambda family: family.name)


def _labels(collector: Collector, family: Metric) -> tuple[str, ...]:
    # The library tells a metric's labels by its series only, and there are none yet.
    declared: Any = family if hasattr(family, "_labelnames") else collector
    return tuple(declared._labelnames)
