"""Who may connect to the pods, and the way in for webhooks."""

import pytest

from tests.unit.chart.helm import Object, render
from voicepod.api.names import LABEL_AGENT
from voicepod.assignment.ports import OPERATOR_PORT

pytestmark = pytest.mark.unit

AGENT_PODS: Object = {"matchExpressions": [{"key": LABEL_AGENT, "operator": "Exists"}]}


def component(name: str) -> Object:
    return {
        "matchLabels": {
            "app.kubernetes.io/name": "voicepod",
            "app.kubernetes.io/instance": "voicepod",
            "app.kubernetes.io/component": name,
        }
    }


def test_the_operator_takes_connections_of_agent_pods_of_gateways_and_of_the_test() -> None:
    policy = render().one("NetworkPolicy", "voicepod-operator")["spec"]
    assert policy["podSelector"] == component("operator")
    assert policy["ingress"] == [
        {
            "ports": [{"port": "http"}],
            "from": [
                {"podSelector": AGENT_PODS, "namespaceSelector": {}},
                {"podSelector": component("gateway")},
                {"podSelector": component("test")},
            ],
        }
    ]


def test_the_operator_takes_connections_only_of_watched_namespaces() -> None:
    policy = render(watchNamespaces=["voice"]).one("NetworkPolicy", "voicepod-operator")["spec"]
    agents = policy["ingress"][0]["from"][0]
    assert agents["namespaceSelector"] == {
        "matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["voice"]}
        ]
    }


def test_metrics_can_be_scraped_by_who_is_named() -> None:
    monitoring = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    objects = render(networkPolicy={"metricsFrom": [monitoring]})
    policy = objects.one("NetworkPolicy", "voicepod-operator")["spec"]
    assert policy["ingress"][0]["from"][-1] == monitoring


def test_webhooks_may_come_from_anywhere() -> None:
    policy = render().one("NetworkPolicy", "voicepod-gateway")["spec"]
    assert policy["podSelector"] == component("gateway")
    assert policy["ingress"] == [{"ports": [{"port": "http"}]}]


def test_only_the_operator_connects_to_the_sidecars_of_watched_namespaces() -> None:
    objects = render(watchNamespaces=["voice", "sales"])
    for namespace in ("voice", "sales"):
        policy = objects.one("NetworkPolicy", "voicepod-agents", namespace)["spec"]
        assert policy["podSelector"] == AGENT_PODS
        assert policy["ingress"] == [
            {
                "ports": [{"port": OPERATOR_PORT}],
                "from": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "voicepod-system"}
                        },
                        "podSelector": component("operator"),
                    }
                ],
            }
        ]


def test_policies_close_what_comes_in_and_leave_what_goes_out() -> None:
    for policy in render(watchNamespaces=["voice"]).of("NetworkPolicy"):
        assert policy["spec"]["policyTypes"] == ["Ingress"]


def test_network_policies_can_be_left_to_the_platform() -> None:
    objects = render(watchNamespaces=["voice"], networkPolicy={"enabled": False})
    assert "NetworkPolicy" not in objects.kinds()


def test_the_gateway_is_not_open_to_the_outside_by_itself() -> None:
    objects = render()
    assert "Ingress" not in objects.kinds()
    assert {service["spec"].get("type", "ClusterIP") for service in objects.of("Service")} == {
        "ClusterIP"
    }


def test_an_ingress_opens_the_webhook_and_nothing_else() -> None:
    ingress = render(
        gateway={
            "ingress": {
                "enabled": True,
                "className": "public",
                "annotations": {"issuer": "ours"},
                "host": "hooks.example.com",
                "tlsSecretName": "hooks-tls",
            }
        }
    ).one("Ingress", "voicepod-gateway")
    assert ingress["metadata"]["annotations"] == {"issuer": "ours"}
    assert ingress["spec"] == {
        "ingressClassName": "public",
        "tls": [{"secretName": "hooks-tls", "hosts": ["hooks.example.com"]}],
        "rules": [
            {
                "host": "hooks.example.com",
                "http": {
                    "paths": [
                        {
                            "path": "/livekit/webhook",
                            "pathType": "Exact",
                            "backend": {
                                "service": {"name": "voicepod-gateway", "port": {"name": "http"}}
                            },
                        }
                    ]
                },
            }
        ],
    }


def test_an_ingress_opens_the_token_endpoint_when_it_is_on() -> None:
    def paths(auth: str) -> list[str]:
        gateway = {"ingress": {"enabled": True, "host": "calls"}, "tokens": {"auth": auth}}
        (rule,) = render(gateway=gateway).one("Ingress", "voicepod-gateway")["spec"]["rules"]
        return [path["path"] for path in rule["http"]["paths"]]

    assert paths("") == ["/livekit/webhook"]
    assert paths("anonymous") == ["/livekit/webhook", "/token"]


def test_the_gateway_can_have_a_fixed_address() -> None:
    def address(value: str) -> str | None:
        objects = render(gateway={"service": {"clusterIP": value}})
        found: str | None = objects.one("Service", "voicepod-gateway")["spec"].get("clusterIP")
        return found

    assert address("10.0.0.9") == "10.0.0.9"
    assert address("") is None
