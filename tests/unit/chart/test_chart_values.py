"""Values that the chart refuses, and what it says then."""

from typing import Any

import pytest

from tests.unit.chart.helm import RenderError, render

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"gateway": {"replica": 3}}, "at '/gateway': additional properties 'replica'"),
        ({"gateway": {"replicas": "3"}}, "at '/gateway/replicas': got string, want integer"),
        ({"operator": {"replicas": 0}}, "at '/operator/replicas': minimum: got 0, want 1"),
        ({"operator": {"maxSessions": {"voice": 0}}}, "at '/operator/maxSessions/voice': minimum"),
        ({"gateway": {"replicas": 0}}, "at '/gateway/replicas': minimum: got 0, want 1"),
        ({"image": {"tag": 1.2}}, "at '/image/tag': got number, want string"),
        (
            {"image": {"pullPolicy": "Sometimes"}},
            "must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ({"imagePullSecrets": ["mirror"]}, "at '/imagePullSecrets/0': got string, want object"),
        ({"watchNamespaces": "voice"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Voice"]}, "at '/watchNamespaces/0': 'Voice' does not match"),
        ({"watchNamespaces": ["a", "a"]}, "at '/watchNamespaces': items at 0 and 1 are equal"),
        ({"logLevel": "debug"}, "at '/logLevel': value must be one of 'DEBUG'"),
        ({"fullnameOverride": "x" * 41}, "at '/fullnameOverride': maxLength: got 41, want 40"),
        ({"gateway": {"service": {"clusterIP": "here"}}}, "at '/gateway/service/clusterIP'"),
        ({"gateway": {"tokens": {"auth": "open"}}}, "at '/gateway/tokens/auth': value must be"),
        (
            {"gateway": {"tokens": {"origins": ["https://a.example.com/"]}}},
            "at '/gateway/tokens/origins/0'",
        ),
        ({"gateway": {"tokens": {"wait": "2m"}}}, "at '/gateway/tokens/wait'"),
        ({"podLabels": {"a": 1}}, "at '/podLabels/a': got number, want string"),
    ],
)
def test_a_misspelt_or_mistyped_value_is_named(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RenderError) as refused:
        render(**values)
    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"gateway": {"ingress": {"enabled": True}}},
            "gateway.ingress.enabled needs gateway.ingress.host",
        ),
        (
            {"gateway": {"tokens": {"auth": "hook"}}},
            "gateway.tokens.auth: hook and gateway.tokens.hookUrl belong together",
        ),
        (
            {"gateway": {"tokens": {"auth": "anonymous", "hookUrl": "http://auth"}}},
            "gateway.tokens.auth: hook and gateway.tokens.hookUrl belong together",
        ),
        (
            {"operator": {"maxSessions": {"voice": 9}}, "watchNamespaces": ["sales"]},
            "operator.maxSessions.voice: the namespace is not one of watchNamespaces",
        ),
        ({"test": {"agent": "hello"}}, "test.agent and test.namespace belong together"),
        ({"test": {"namespace": "voice"}}, "test.agent and test.namespace belong together"),
        (
            {"test": {"agent": "hello", "namespace": "voice"}, "watchNamespaces": ["sales"]},
            'test.namespace "voice" is not one of watchNamespaces',
        ),
    ],
)
def test_values_that_contradict_each_other_are_named(
    values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(RenderError) as refused:
        render(**values)
    assert complaint in str(refused.value)


def test_the_chart_can_be_a_part_of_another() -> None:
    # Helm hands the parent's globals down to every part.
    values: dict[str, Any] = {"global": {"registry": "mirror"}}
    assert render(**values).kinds() == render().kinds()


def test_every_object_is_named_and_labelled_by_the_release() -> None:
    for found in render(fullnameOverride="calls", watchNamespaces=["voice"]):
        metadata = found["metadata"]
        # There is one of these in a cluster, whichever release has it.
        if found["kind"] not in ("CustomResourceDefinition", "PriorityClass"):
            assert metadata["name"].startswith("calls-")
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/name"] == "voicepod"
        assert labels["app.kubernetes.io/instance"] == "voicepod"
        assert labels["app.kubernetes.io/component"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
