"""What the chart's pods run, and how closed they are."""

from typing import Any

import pytest

from tests.unit.chart.helm import Object, render
from voicepod.settings import GatewaySettings, OperatorSettings

pytestmark = pytest.mark.unit

COMPONENTS = ("operator", "gateway", "test")


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_meets_the_restricted_standard(component: str) -> None:
    pod = render().pods()[component]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert "volumes" not in pod
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_service_of_the_namespace_is_read_as_a_setting(component: str) -> None:
    assert render().pods()[component]["enableServiceLinks"] is False


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_pod_has_an_account_of_its_own(component: str) -> None:
    objects = render()
    account = objects.pods()[component]["serviceAccountName"]
    assert account == f"voicepod-{component}"
    assert objects.one("ServiceAccount", account)["automountServiceAccountToken"] is False


def environment(component: str, **values: Any) -> dict[str, str]:
    (container,) = render(**values).pods()[component]["containers"]
    return {entry["name"]: entry.get("value", "from the pod") for entry in container["env"]}


def test_the_operator_understands_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "watchNamespaces": ["voice", "sales"],
        "logLevel": "DEBUG",
        "image": {"tag": "dev"},
        "operator": {"maxSessions": {"voice": 200}},
    }
    for name, value in environment("operator", **values).items():
        monkeypatch.setenv(name, value)
    assert OperatorSettings() == OperatorSettings(
        namespaces=["voice", "sales"],
        log_level="DEBUG",
        port=9551,
        namespace="from the pod",
        pod_name="from the pod",
        pod_ip="from the pod",
        lease="voicepod-operator",
        url="http://voicepod-operator.voicepod-system.svc:9551",
        sidecar_image="voicepod/operator:dev",
        signing_key_secret="voicepod-signing-key",
        max_sessions={"voice": 200},
    )


def test_the_gateway_understands_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("gateway").items():
        monkeypatch.setenv(name, value)
    assert GatewaySettings() == GatewaySettings(namespaces=[], log_level="INFO", port=9552)


def test_the_gateway_understands_who_may_have_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = {
        "auth": "hook",
        "hookUrl": "http://auth.web.svc/calls",
        "origins": ["https://app.example.com", "http://localhost:3000"],
        "wait": "500ms",
    }
    for name, value in environment("gateway", gateway={"tokens": tokens}).items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings()
    assert settings.token_auth == "hook"
    assert str(settings.token_hook_url) == "http://auth.web.svc/calls"
    assert settings.token_origins == ["https://app.example.com", "http://localhost:3000"]
    assert settings.token_wait == "500ms"


@pytest.mark.parametrize(("component", "port"), [("operator", 9551), ("gateway", 9552)])
def test_a_service_leads_to_the_port_that_the_process_listens_on(component: str, port: int) -> None:
    objects = render()
    service = objects.one("Service", f"voicepod-{component}")["spec"]
    template = objects.one("Deployment", f"voicepod-{component}")["spec"]["template"]
    assert service["ports"] == [{"name": "http", "port": port, "targetPort": "http"}]
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    (container,) = template["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": port}]
    assert {"name": "VOICEPOD_PORT", "value": str(port)} in container["env"]


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_replicas_are_never_all_away(component: str) -> None:
    objects = render()
    spec = objects.one("Deployment", f"voicepod-{component}")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"] == {"rollingUpdate": {"maxUnavailable": 0}}
    spread = spec["template"]["spec"]["topologySpreadConstraints"]
    assert {constraint["whenUnsatisfiable"] for constraint in spread} == {"ScheduleAnyway"}
    for constraint in spread:
        assert constraint["labelSelector"] == spec["selector"]
    budget = objects.one("PodDisruptionBudget", f"voicepod-{component}")["spec"]
    assert budget["selector"] == spec["selector"]
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_there_can_be_more_replicas_or_one(component: str) -> None:
    for replicas in (1, 3):
        values: dict[str, Any] = {component: {"replicas": replicas}}
        objects = render(**values)
        assert objects.one("Deployment", f"voicepod-{component}")["spec"]["replicas"] == replicas


def test_the_image_is_the_chart_s_own_version_unless_said_otherwise() -> None:
    def images(**values: Any) -> set[str]:
        pods = render(**values).pods().values()
        return {container["image"] for pod in pods for container in pod["containers"]}

    assert images() == {"voicepod/operator:0.1.0"}
    assert images(image={"repository": "mirror/voicepod", "tag": "1.2@sha256:0f"}) == {
        "mirror/voicepod:1.2@sha256:0f"
    }


def test_what_a_platform_asks_of_pods_is_in_all_of_them() -> None:
    asked: Object = {
        "imagePullSecrets": [{"name": "mirror"}],
        "priorityClassName": "important",
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "affinity": {"podAntiAffinity": {}},
    }
    for pod in render(**asked).pods().values():
        assert asked.items() <= pod.items()


def test_labels_of_the_platform_cannot_take_a_pod_from_its_deployment() -> None:
    labels = {"team": "voice", "app.kubernetes.io/name": "other"}
    for deployment in render(podLabels=labels, podAnnotations={"a": "b"}).of("Deployment"):
        pod = deployment["spec"]["template"]["metadata"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= pod["labels"].items()
        assert pod["labels"]["team"] == "voice"
        assert pod["annotations"] == {"a": "b"}


def test_resources_can_be_changed_one_by_one() -> None:
    limits = {"cpu": 1, "memory": None}
    (container,) = render(operator={"resources": {"limits": limits}}).pods()["operator"][
        "containers"
    ]
    assert container["resources"] == {
        "requests": {"cpu": "250m", "memory": "128Mi"},
        "limits": {"cpu": 1},
    }
