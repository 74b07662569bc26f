"""The Redis for trials: off by itself, small, and closed to all but who needs it."""

import pytest

from tests.unit.chart.helm import render
from tests.unit.chart.test_chart_network import AGENT_PODS, component

pytestmark = pytest.mark.unit


def test_there_is_no_redis_by_itself() -> None:
    assert "redis" not in render().pods()


def test_a_redis_for_trials_is_one_pod_without_rights_behind_its_service() -> None:
    objects = render(redis={"enabled": True, "image": "redis:8"})
    deployment = objects.one("Deployment", "voicepod-redis")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    pod = objects.pods()["redis"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    (container,) = pod["containers"]
    assert container["image"] == "redis:8"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    service = objects.one("Service", "voicepod-redis")["spec"]
    assert service["selector"] == component("redis")["matchLabels"]
    assert service["ports"] == [{"name": "redis", "port": 6379, "targetPort": "redis"}]


def test_only_sidecars_and_the_operator_connect_to_it() -> None:
    objects = render(redis={"enabled": True}, watchNamespaces=["voice"])
    policy = objects.one("NetworkPolicy", "voicepod-redis")["spec"]
    assert policy["podSelector"] == component("redis")
    (rule,) = policy["ingress"]
    sidecars, operator = rule["from"]
    assert sidecars["podSelector"] == AGENT_PODS
    assert sidecars["namespaceSelector"]["matchExpressions"][0]["values"] == ["voice"]
    assert operator == {"podSelector": component("operator")}
