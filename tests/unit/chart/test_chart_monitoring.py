"""Dashboard, alerts and scraping: everything that they name is there."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import pytest
import yaml

from charts.dashboard import dashboard
from charts.generate import CHART
from local.layout import REPOSITORY
from tests.support.families import Family, gateway_families, operator_families
from tests.unit.chart.helm import Object, RenderError, render

pytestmark = pytest.mark.unit

DOCS: Final = (REPOSITORY / "docs" / "monitoring.md").read_text()
ALERTS: Final[list[Object]] = [
    rule
    for group in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]

# Prometheus gives these to every series of a target, in whatever way it finds its targets.
TARGET_LABELS: Final = {
    "container",
    "endpoint",
    "instance",
    "job",
    "namespace",
    "node",
    "pod",
    "service",
}

# What callers and their rooms decide, or what there is one of for each call.
UNBOUNDED: Final = {"room", "session", "pod", "identity", "metadata", "sid", "node", "uid"}


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))
    yield from (variable["query"] for variable in dashboard()["templating"]["list"][1:])
    yield from (rule["expr"] for rule in ALERTS)


@cache
def families() -> list[Family]:
    return [*operator_families(), *gateway_families()]


@cache
def series() -> dict[str, frozenset[str]]:
    return {name: labels for family in families() for name, labels in family.series.items()}


def matched(expression: str) -> Iterator[tuple[str, set[str]]]:
    """The series that an expression selects, each with the labels that it selects them by."""
    for name, matchers in re.findall(r"\b(voicepod_\w+)(?:\{([^}]*)\})?", expression):
        yield name, set(re.findall(r"(\w+)\s*[=!]~?\"", matchers))


def grouped(expression: str) -> set[str]:
    """The labels that an expression groups or joins by."""
    lists = re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", expression)
    return {label.strip() for labels in lists for label in labels.split(",")}


@pytest.mark.parametrize("expression", expressions())
def test_every_query_names_series_and_labels_that_are_there(expression: str) -> None:
    known = series()
    labels: set[str] = set()
    selected = list(matched(expression))
    assert selected
    for name, by in selected:
        assert name in known
        assert by <= known[name]
        labels |= known[name]
    assert grouped(expression) <= labels


@pytest.mark.parametrize("panel", dashboard()["panels"], ids=lambda panel: panel["title"])
def test_every_line_is_called_by_labels_that_its_query_leaves(panel: Object) -> None:
    for target in panel.get("targets", []):
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        left = grouped(target["expr"]) or set().union(
            *(series()[name] for name, _ in matched(target["expr"]))
        )
        assert named <= left


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    shown = {name for expression in expressions() for name, _ in matched(expression)}
    assert [family.name for family in families() if not shown & set(family.series)] == []


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_no_label_is_one_of_a_target_or_unbounded(family: Family) -> None:
    assert not set(family.labels) & (TARGET_LABELS | UNBOUNDED)


def test_the_committed_dashboard_is_the_generated_one() -> None:
    assert json.loads((CHART / "files" / "dashboard.json").read_text()) == dashboard()


def test_panels_neither_overlap_nor_leave_the_grid() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_alert_says_what_it_is_and_where_to_read_on(rule: Object) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert notes["summary"]
    assert notes["description"]
    assert notes["runbook"] == f"docs/monitoring.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in DOCS
    named = set(re.findall(r"\$labels\.(\w+)", notes["summary"] + notes["description"]))
    left = grouped(rule["expr"]) or set().union(*(series()[n] for n, _ in matched(rule["expr"])))
    assert named <= left


def test_the_documentation_has_no_alert_that_is_not_there() -> None:
    documented = re.findall(r"^### (Voicepod\w+)$", DOCS, re.MULTILINE)
    assert documented == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize(
    ("heading", "declared"), [("Operator", operator_families()), ("Gateway", gateway_families())]
)
def test_the_documentation_has_every_metric_as_it_is_declared(
    heading: str, declared: list[Family]
) -> None:
    part = DOCS.split(f"\n### {heading}\n")[1].split("\n#")[0]
    rows = [line for line in part.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{family.title}` | {family.type} | {', '.join(family.labels)} | {family.help} |"
        for family in declared
    ]


def test_nothing_of_the_prometheus_operator_is_made_unless_asked_for() -> None:
    objects = render()
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap"} & objects.kinds()


def monitoring(**values: Any) -> Object:
    """The only object that these values of ``metrics`` add."""
    before = [found["metadata"]["name"] for found in render()]
    (added,) = [
        found for found in render(metrics=values) if found["metadata"]["name"] not in before
    ]
    return added


def test_operator_and_every_gateway_are_scraped() -> None:
    scraped = monitoring(
        serviceMonitor={"enabled": True, "labels": {"release": "prom"}, "interval": "15s"}
    )
    assert scraped["kind"] == "ServiceMonitor"
    assert scraped["metadata"]["labels"]["release"] == "prom"
    assert scraped["spec"]["endpoints"] == [{"port": "http", "interval": "15s"}]
    selector = scraped["spec"]["selector"]
    (component,) = selector["matchExpressions"]
    services = [
        service["metadata"]["name"]
        for service in render().of("Service")
        if selector["matchLabels"].items() <= service["metadata"]["labels"].items()
        and service["metadata"]["labels"][component["key"]] in component["values"]
        and service["spec"]["ports"][0]["name"] == "http"
    ]
    assert services == ["voicepod-gateway", "voicepod-operator"]


def test_the_interval_is_prometheus_own_unless_said_otherwise() -> None:
    scraped = monitoring(serviceMonitor={"enabled": True})
    assert scraped["spec"]["endpoints"] == [{"port": "http"}]


def test_the_alerts_are_those_of_the_file() -> None:
    rules = monitoring(rules={"enabled": True, "labels": {"release": "prom"}})
    assert rules["kind"] == "PrometheusRule"
    assert rules["metadata"]["labels"]["release"] == "prom"
    (group,) = rules["spec"]["groups"]
    assert group["rules"] == ALERTS


def test_grafana_finds_the_dashboard_by_its_label() -> None:
    found = monitoring(dashboard={"enabled": True, "annotations": {"grafana_folder": "Voice"}})
    assert found["kind"] == "ConfigMap"
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"] == {"grafana_folder": "Voice"}
    assert json.loads(found["data"]["voicepod.json"]) == dashboard()


def test_another_grafana_may_look_for_another_label() -> None:
    labels = {"grafana_dashboard": None, "team": "voice"}
    found = monitoring(dashboard={"enabled": True, "labels": labels})["metadata"]["labels"]
    assert found["team"] == "voice"
    assert "grafana_dashboard" not in found


def test_an_interval_that_is_none_is_refused() -> None:
    with pytest.raises(RenderError, match="metrics/serviceMonitor/interval"):
        render(metrics={"serviceMonitor": {"interval": "often"}})
