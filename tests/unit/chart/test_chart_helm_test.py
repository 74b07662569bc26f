"""``helm test``: how its pod is run, and the script in it against an API server of a few lines."""

import importlib.util
from types import ModuleType
from typing import Any

import pytest

from charts.generate import CHART
from tests.unit.chart.helm import render

pytestmark = pytest.mark.unit

SCRIPT = CHART / "files" / "helm_test.py"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("helm_test", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return module


class Api:
    """Sessions whose status goes one step further with each look at it."""

    def __init__(self, *statuses: dict[str, Any]) -> None:
        self.statuses = list(statuses)
        self.calls: list[str] = []

    def create_namespaced_custom_object(self, *where: str) -> None:
        *_, plural, session = where
        self.calls.append(f"create {plural} of {session['spec']['agentRef']['name']}")  # type: ignore[index]

    def get_namespaced_custom_object(self, *_: str) -> dict[str, Any]:
        return {"status": self.statuses.pop(0)}

    def patch_namespaced_custom_object(self, *where: Any, _content_type: str) -> None:
        self.calls.append(f"patch {where[-1]}")

    def delete_namespaced_custom_object(self, *_: str) -> None:
        self.calls.append("delete")


ACTIVE = {"phase": "Active", "conditions": [{"type": "Active", "status": "True"}]}


def test_a_session_is_made_ended_and_deleted(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = {"phase": "Starting", "conditions": [{"type": "Active", "status": "False"}]}
    api = Api({}, waiting, ACTIVE, {"phase": "Ending"}, {"phase": "Ended"})
    script.try_session(api, "hello", "voice")
    assert api.calls == [
        "create voicesessions of hello",
        "patch {'spec': {'end': True}}",
        "delete",
    ]
    assert "is in its room" in capsys.readouterr().out


def test_a_failed_session_fails_the_test_in_its_own_words_and_is_deleted(
    script: ModuleType,
) -> None:
    api = Api({"phase": "Failed", "reason": "StartDeadline", "message": "no such image"})
    with pytest.raises(SystemExit, match="StartDeadline: no such image"):
        script.try_session(api, "hello", "voice")
    assert api.calls[-1] == "delete"


def test_what_is_not_up_in_time_fails_the_test_with_the_last_error(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused() -> bool:
        monkeypatch.setattr(script, "DEADLINE", 0.0)
        raise ConnectionRefusedError("nobody listens")

    with pytest.raises(SystemExit, match="the operator is up: not in time: nobody listens"):
        script.wait_for("the operator is up", refused)


def test_the_pod_runs_the_script_and_knows_where_everything_is() -> None:
    objects = render(test={"agent": "hello", "namespace": "voice"})
    pod = objects.one("Pod", "voicepod-test")
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python", "-c"]
    (source,) = container["args"]
    assert source.strip() == SCRIPT.read_text().strip()
    services = {service["metadata"]["name"] for service in objects.of("Service")}
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment.pop("OPERATOR_URL") == "http://voicepod-operator:9551"
    assert environment.pop("GATEWAY_URL") == "http://voicepod-gateway:9552"
    assert services == {"voicepod-operator", "voicepod-gateway"}
    assert environment == {"TEST_AGENT": "hello", "TEST_NAMESPACE": "voice"}


def test_only_the_pod_is_a_hook() -> None:
    # `helm test --logs` asks for the logs of all hooks, and fails where one is not a pod.
    hooks = [
        found["kind"]
        for found in render(test={"agent": "hello", "namespace": "voice"})
        if "helm.sh/hook" in found["metadata"].get("annotations", {})
    ]
    assert hooks == ["Pod"]
