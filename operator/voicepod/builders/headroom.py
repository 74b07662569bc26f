"""Head-room: placeholders as large as an agent pod, which give way to whatever needs their room.

A Deployment has them: its controller makes another for each that had to go, and autoscalers know
that its pods may be moved.
"""

from typing import Final

from voicepod.api.names import (
    ANNOTATION_TEMPLATE_HASH,
    HEADROOM_PRIORITY,
    LABEL_HEADROOM,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from voicepod.builders.pod import Manifest, PodKeys, Sidecar, Template, common_pod, owned_by
from voicepod.builders.warm import WarmOwner, digest

# What says on which nodes a pod can be, how large it is beside its containers, and what their image
# is pulled with.
_TAKEN_OVER: Final = (
    "nodeSelector",
    "tolerations",
    "topologySpreadConstraints",
    "runtimeClassName",
    "schedulerName",
    "resources",
    "resourceClaims",
    "imagePullSecrets",
    "serviceAccountName",
)

# In seconds. Not 0: the scheduler may miss a pod that is gone at once, and wait for its place for
# minutes.
_GRACE: Final = 1

# What containers run that stay, and those that end before others begin.
_FOR_EVER: Final = ["sleep", "infinity"]
_AT_ONCE: Final = ["true"]


def headroom_name(agent: str) -> str:
    """Return the name of the Deployment with a VoiceAgent's placeholders."""
    return f"{agent}-headroom"


def build_headroom(template: Template, owner: WarmOwner, pods: int, sidecar: Sidecar) -> Manifest:
    """Return the manifest of the Deployment with so many placeholders, with a hash of itself."""
    labels = {LABEL_HEADROOM: owner.name}
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": headroom_name(owner.name),
            "namespace": owner.namespace,
            "labels": {**labels, LABEL_MANAGED_BY: MANAGED_BY},
            "ownerReferences": [owned_by("VoiceAgent", owner.name, owner.uid)],
        },
        "spec": {
            "replicas": pods,
            "selector": {"matchLabels": labels},
            # A new size takes the place of the old one: for a moment more of them than asked for
            # would bring a node.
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": 0,
            # Not LABEL_MANAGED_BY: agents may seek the company of agents by it (docs/nodes.md).
            "template": {"metadata": {"labels": labels}, "spec": _spec(template, sidecar)},
        },
    }
    manifest["metadata"]["annotations"] = {ANNOTATION_TEMPLATE_HASH: digest(manifest)}
    return manifest


def _spec(template: Template, sidecar: Sidecar) -> Manifest:
    """Return the spec of a pod that fits where one of the template does, and does nothing there."""
    agent = common_pod(template, "", 0, sidecar, PodKeys("", ""))["spec"]
    return {
        **{field: agent[field] for field in _TAKEN_OVER if field in agent},
        **_affinity(agent),
        "priorityClassName": HEADROOM_PRIORITY,
        "terminationGracePeriodSeconds": _GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [
            {**_idle(one, sidecar, _FOR_EVER), "restartPolicy": "Always"}
            if one.get("restartPolicy") == "Always"
            else _idle(one, sidecar, _AT_ONCE)
            for one in agent["initContainers"]
        ],
        "containers": [_idle(one, sidecar, _FOR_EVER) for one in agent["containers"]],
    }


def _affinity(agent: Manifest) -> Manifest:
    """Return what a template says of nodes and of other pods, but for the company that it prefers.

    The room beside agents is for the next agent: nodes become free where agents are together.
    """
    affinity = dict(agent.get("affinity", {}))
    company = affinity.pop("podAffinity", {})
    if required := company.get("requiredDuringSchedulingIgnoredDuringExecution"):
        affinity["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": required}
    return {"affinity": affinity} if affinity else {}


def _idle(container: Manifest, sidecar: Sidecar, command: list[str]) -> Manifest:
    """Return a container in place of one of the agent's pod, that asks for the same.

    So nothing has to be added up here: a LimitRange, or the scheduler's own rules for containers
    that start one after the other, come to the same for both. The image is one that agent pods
    need on a new node anyway.
    """
    return {
        "name": container["name"],
        "image": sidecar.image,
        "command": command,
        "resources": container.get("resources", {}),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
