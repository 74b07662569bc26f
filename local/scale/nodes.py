"""Agents on nodes as docs/nodes/ has them: its manifests, made to fit KWOK's nodes."""

from typing import Any

import yaml

from local.layout import REPOSITORY
from local.scale import rig
from local.scale.kwok import CAPACITY


def documents(name: str) -> list[Any]:
    """Return the manifests of a file of docs/nodes/."""
    return list(yaml.safe_load_all((REPOSITORY / "docs/nodes" / f"{name}.yaml").read_text()))


def node(name: str, places: int = int(CAPACITY["pods"])) -> dict[str, Any]:
    """Return a node as the NodePool has Karpenter make it, with room for so many pods."""
    (pool,) = documents("karpenter")
    template = pool["spec"]["template"]
    # Its name as a label is what a kubelet sets.
    labels = template["metadata"]["labels"] | {"kubernetes.io/hostname": name}
    metadata = {"name": name, "labels": labels}
    taints = template["spec"]["taints"]
    room = CAPACITY | {"pods": str(places)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": metadata,
        "spec": {"taints": taints},
        "status": {"allocatable": room, "capacity": room},
    }


def packed(pool: int, headroom: int, **lifecycle: str) -> dict[str, Any]:
    """Return the manifest of the rig's VoiceAgent, with what template.yaml says of nodes."""
    (patch,) = documents("template")
    manifest = rig.voice_agent(pool, {"headroom": headroom}, **lifecycle)
    manifest["spec"]["template"]["spec"] |= patch["spec"]["template"]["spec"]
    return manifest
