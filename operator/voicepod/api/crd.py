"""What the whole cluster needs once: the two CustomResourceDefinitions, and a PriorityClass.

``python -m voicepod.api.crd FOLDER`` writes them.
"""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from voicepod.api.agent import VoiceAgent
from voicepod.api.names import (
    AGENTS,
    GROUP,
    HEADROOM_PRIORITY,
    MAX_AGENT_NAME,
    MAX_SESSION_NAME,
    SESSIONS,
    VERSION,
)
from voicepod.api.schema import structural_schema
from voicepod.api.session import VoiceSession

# Below agents, which have 0 unless their template says otherwise; not below what Cluster Autoscaler
# brings nodes for (its --expendable-pods-priority-cutoff).
_BELOW_AGENTS: Final = -10


def _column(name: str, path: str, type_: str = "string", wide: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": type_, "jsonPath": path}
    return {**column, "priority": 1} if wide else column


def _crd(
    model: type[VoiceAgent] | type[VoiceSession],
    plural: str,
    short: str,
    longest_name: int,
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    kind = model.__name__
    schema = structural_schema(model)
    schema["required"] = ["spec"]
    schema["x-kubernetes-validations"] = [
        {
            "rule": f"size(self.metadata.name) <= {longest_name}",
            "message": f"metadata.name must have at most {longest_name} characters",
        }
    ]
    status = schema["properties"]["status"]
    # What a status lacks is unknown, not a default: the operator writes what it knows.
    status.pop("default", None)
    # Nobody else writes in it. Or the API server would keep with each object who wrote which field
    # of it: as much again as the object, of ten thousand calls, and to be copied with each change.
    status["x-kubernetes-map-type"] = "atomic"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["voicepod"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *columns,
                        _column("Age", ".metadata.creationTimestamp", "date"),
                    ],
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def voice_agent_crd() -> dict[str, Any]:
    """Return the CRD of VoiceAgent."""
    return _crd(
        VoiceAgent,
        AGENTS,
        "va",
        MAX_AGENT_NAME,
        [
            _column("Ready", ".status.conditions[?(@.type=='Ready')].status"),
            _column("Warm", ".status.warm", "integer"),
            _column("Wanted", ".status.wanted", "integer", wide=True),
            _column("Calls/min", ".status.arrivalsPerMinute", "number", wide=True),
            _column("Refill s", ".status.refillSeconds", "number", wide=True),
            _column("Rollout", ".status.rollout.state", wide=True),
            _column("Active", ".status.active", "integer"),
            _column("Starting", ".status.starting", "integer"),
            _column("Queued", ".status.queued", "integer"),
            _column("Headroom", ".status.headroom.ready", "integer"),
            _column("Max", ".spec.capacity.maxSessions", "integer", wide=True),
            _column("Draining", ".status.draining", "integer", wide=True),
            _column("Last call", ".status.lastCall", "date"),
            _column("LiveKit", ".spec.livekit.url", wide=True),
            _column("Message", ".status.conditions[?(@.type=='Ready')].message", wide=True),
        ],
    )


def voice_session_crd() -> dict[str, Any]:
    """Return the CRD of VoiceSession."""
    return _crd(
        VoiceSession,
        SESSIONS,
        "vs",
        MAX_SESSION_NAME,
        [
            _column("Phase", ".status.phase"),
            _column("Reason", ".status.reason"),
            _column("Room", ".spec.room"),
            _column("Agent", ".spec.agentRef.name"),
            _column("Pod", ".status.pod"),
            _column("Node", ".status.node", wide=True),
            _column("Position", ".status.queue.position", "integer", wide=True),
            _column("Generation", ".status.generation", "integer", wide=True),
            _column("Talking s", ".status.podSeconds.talking", "number", wide=True),
            _column("Waiting s", ".status.podSeconds.waiting", "number", wide=True),
            _column("Warm s", ".status.podSeconds.warm", "number", wide=True),
            _column("Message", ".status.message", wide=True),
        ],
    )


def headroom_priority() -> dict[str, Any]:
    """Return the PriorityClass of placeholders: whatever needs their room takes it."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": HEADROOM_PRIORITY},
        "value": _BELOW_AGENTS,
        "preemptionPolicy": "Never",
        "description": "Placeholders that hold room for agent pods, and give way to them.",
    }


class _Plain(yaml.SafeDumper):
    """Writes out what stands in two places, where YAML would refer from one to the other."""

    def ignore_aliases(self, data: object) -> bool:
        """Say that nothing is to be referred to."""
        return True


def write_crds(folder: Path) -> None:
    """Write the CRDs, and the PriorityClass beside them, as YAML files."""
    files = {
        AGENTS: voice_agent_crd(),
        SESSIONS: voice_session_crd(),
        "headroom": headroom_priority(),
    }
    for name, manifest in files.items():
        text = yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=100, allow_unicode=True)
        header = "# Generated by `make generate` from operator/voicepod/api. Do not edit.\n"
        (folder / f"{name}.yaml").write_text(header + text)


if __name__ == "__main__":
    write_crds(Path(sys.argv[1]))
