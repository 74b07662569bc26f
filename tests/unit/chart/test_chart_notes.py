"""NOTES.txt: what it tells a reader to type works as printed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from charts.generate import CHART
from tests.unit.chart.helm import Object, render
from voicepod.api.agent import VoiceAgent

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chart, with an object that holds the notes: ``helm template`` leaves them out."""
    copy = tmp_path_factory.mktemp("chart") / "voicepod"
    shutil.copytree(CHART, copy)
    (copy / "templates" / "NOTES.txt").rename(copy / "NOTES.txt")
    (copy / "templates" / "notes.yaml").write_text(
        'kind: Notes\ntext: {{ tpl (.Files.Get "NOTES.txt") . | quote }}\n'
    )
    return copy


def notes(chart: Path, **values: Any) -> str:
    (found,) = render(chart, **values).of("Notes")
    text: str = found["text"]
    return text


def example(chart: Path, **values: Any) -> Object:
    _, _, rest = notes(chart, **values).partition("<<EOF\n")
    manifest: Object = yaml.safe_load(rest.partition("\nEOF")[0].replace("$LIVEKIT_URL", "ws://lk"))
    return manifest


def test_the_example_is_a_whole_voice_agent(chart: Path) -> None:
    manifest = example(chart)
    agent = VoiceAgent.model_validate(manifest)
    assert manifest["kind"] == "VoiceAgent"
    assert agent.spec.livekit.credentials_secret_ref.name == "livekit"
    (container,) = agent.spec.template["spec"]["containers"]
    assert container == {"name": "agent", "image": "voicepod/agent:0.1.0"}


def test_the_example_is_where_it_is_served_and_with_a_secret_that_may_be_read(chart: Path) -> None:
    values = {"watchNamespaces": ["sales"], "livekit": {"secretNames": ["keys"]}}
    manifest = example(chart, **values)
    assert manifest["metadata"]["namespace"] == "sales"
    assert manifest["spec"]["livekit"]["credentialsSecretRef"]["name"] == "keys"
    text = notes(chart, **values)
    assert "kubectl create secret generic keys --namespace sales" in text
    assert "create namespace" not in text


def test_the_example_s_image_comes_from_the_same_place(chart: Path) -> None:
    image = {"repository": "mirror/voicepod/operator", "tag": "1.2@sha256:0f"}
    (container,) = example(chart, image=image)["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "mirror/voicepod/agent:1.2"


def test_the_webhook_s_url_is_the_one_that_livekit_reaches(chart: Path) -> None:
    inside = "http://voicepod-gateway.voicepod-system.svc:9552/livekit/webhook"
    assert inside in notes(chart)
    ingress = {"enabled": True, "host": "hooks.example.com"}
    assert "http://hooks.example.com/livekit/webhook" in notes(chart, gateway={"ingress": ingress})
    ingress |= {"tlsSecretName": "hooks-tls"}
    text = notes(chart, gateway={"ingress": ingress})
    assert "https://hooks.example.com/livekit/webhook" in text
    assert inside not in text


def test_tokens_for_anybody_are_warned_of(chart: Path) -> None:
    warning = "WARNING: gateway.tokens.auth is anonymous"
    assert warning not in notes(chart)
    assert warning in notes(chart, gateway={"tokens": {"auth": "anonymous"}})


def test_a_cluster_wide_installation_is_told_that_agent_pods_are_not_closed(chart: Path) -> None:
    warning = "lays no NetworkPolicy"
    assert warning in notes(chart)
    assert warning not in notes(chart, watchNamespaces=["voice"])
    assert warning not in notes(chart, networkPolicy={"enabled": False})


def test_whoever_has_prometheus_scrape_is_told_that_no_policy_lets_it(chart: Path) -> None:
    warning = "name it in networkPolicy.metricsFrom"
    scraped = {"serviceMonitor": {"enabled": True}}
    assert warning not in notes(chart)
    assert warning in notes(chart, metrics=scraped)
    named: Object = {"metricsFrom": [{"namespaceSelector": {}}]}
    assert warning not in notes(chart, metrics=scraped, networkPolicy=named)
    assert warning not in notes(chart, metrics=scraped, networkPolicy={"enabled": False})
