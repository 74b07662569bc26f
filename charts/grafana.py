"""Dashboards of Grafana, from rows of panels with their queries to the JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

_WIDTH: Final = 24
"""Grafana's grid has this many columns."""

_HEIGHT: Final = 8

_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its lines are called."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart of lines. ``unit`` is one of Grafana's; a stacked one shows the parts of a whole."""

    title: str
    help: str
    queries: tuple[Query, ...]
    unit: str = "short"
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, ``across`` of them before the next line begins."""

    title: str
    panels: tuple[Panel, ...]
    across: int = 3


def render(rows: Sequence[Row], variables: dict[str, str]) -> dict[str, Any]:
    """Return the JSON of the dashboard; ``variables`` have the query that lists their values."""
    return {
        "title": "voicepod",
        "uid": "voicepod",
        "tags": ["voicepod", "livekit"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "graphTooltip": 1,
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                *(_variable(name, query) for name, query in variables.items()),
            ]
        },
        "panels": [{"id": number, **panel} for number, panel in enumerate(_panels(rows), 1)],
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        # Sessions of a VoiceAgent that is not there have neither label.
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    y = 0
    for row in rows:
        yield {
            "type": "row",
            "title": row.title,
            "gridPos": {"x": 0, "y": y, "w": _WIDTH, "h": 1},
            "panels": [],
        }
        y += 1
        width = _WIDTH // row.across
        for number, panel in enumerate(row.panels):
            line, column = divmod(number, row.across)
            yield {
                **_chart(panel),
                "gridPos": {
                    "x": column * width,
                    "y": y + line * _HEIGHT,
                    "w": width,
                    "h": _HEIGHT,
                },
            }
        y += -(-len(row.panels) // row.across) * _HEIGHT


def _chart(panel: Panel) -> dict[str, Any]:
    custom: dict[str, Any] = {"showPoints": "never", "spanNulls": True}
    if panel.stacked:
        custom |= {"fillOpacity": 30, "stacking": {"mode": "normal"}}
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}},
        "options": {"tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _DATASOURCE,
                "expr": query.expression,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }
