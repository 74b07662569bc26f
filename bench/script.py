"""A program of the bench's own, run in the default agent's image in place of its agent.py."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voicepod.kube.client import Kube, Resource

Json = dict[str, Any]

_CONFIG_MAPS = Resource("", "v1", "configmaps")
_MOUNTED = "/script"


@dataclass(frozen=True, slots=True)
class Script:
    """One file, which finds the image's own modules as agent.py does."""

    path: Path

    @property
    def _name(self) -> str:
        return self.path.stem.replace("_", "-")

    async def install(self, kube: Kube, namespace: str) -> None:
        """Make the ConfigMap that pods have it from."""
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self._name},
            "data": {self.path.name: self.path.read_text()},
        }
        await kube.create(_CONFIG_MAPS, namespace, manifest)

    @property
    def container(self) -> Json:
        """What is different in a container that runs it."""
        return {
            "args": [f"{_MOUNTED}/{self.path.name}", "start"],
            "env": [{"name": "PYTHONPATH", "value": "/app"}],
            "volumeMounts": [{"name": self._name, "mountPath": _MOUNTED}],
        }

    @property
    def volumes(self) -> list[Json]:
        """Those of its pod."""
        return [{"name": self._name, "configMap": {"name": self._name}}]
