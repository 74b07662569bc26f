"""The chart as ``helm template`` renders it."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from charts.generate import CHART
from local import layout
from local.tools import ensure_tools

Object = dict[str, Any]

# A release in a namespace of its own, on a Kubernetes that the chart supports.
_RELEASE = ("voicepod", "--namespace", "voicepod-system", "--kube-version", "1.37")


class RenderError(Exception):
    """Helm refused; the message is its own."""


class Objects:
    """The objects of a release."""

    def __init__(self, objects: list[Object]) -> None:
        self._objects = objects

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects)

    def kinds(self) -> set[str]:
        return {found["kind"] for found in self}

    def of(self, kind: str) -> list[Object]:
        return [found for found in self if found["kind"] == kind]

    def one(self, kind: str, name: str, namespace: str | None = "voicepod-system") -> Object:
        (found,) = [
            found
            for found in self.of(kind)
            if found["metadata"]["name"] == name and found["metadata"].get("namespace") == namespace
        ]
        return found

    def pods(self) -> dict[str, Object]:
        """Return the specs of all pods, by the component that they are of."""
        templates = [*(found["spec"]["template"] for found in self.of("Deployment"))]
        return {
            pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["spec"]
            for pod in [*templates, *self.of("Pod")]
        }


def render(chart: Path = CHART, **values: Any) -> Objects:
    """Render the chart with values.

    Raises RenderError when Helm doesn't do it.
    """
    text = _template(chart, json.dumps(values))
    return Objects([found for found in yaml.safe_load_all(text) if found])


@cache
def _template(chart: Path, values: str) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(values)
        file.flush()
        done = subprocess.run(
            [_helm(), "template", *_RELEASE, str(chart), "--values", file.name],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RenderError(done.stderr)
    return done.stdout


@cache
def _helm() -> str:
    """Return $VOICEPOD_HELM, or helm on PATH, or the pinned one, which is built if need be."""
    if found := os.environ.get("VOICEPOD_HELM") or shutil.which("helm"):
        return found
    folder = layout.cache() / "bin"
    ensure_tools(folder, frozenset({"helm"}))
    return str(folder / "helm")
