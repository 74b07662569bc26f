"""The agent pod: the user's template, the sidecar, and what keeps the pod safe.

The user's container stays as it is. It only finds a LiveKit server on its own loopback, which is
the sidecar.
"""

import math
import secrets
from dataclasses import dataclass
from typing import Any, Final

from voicepod.api.agent import REDIS_URL, CheckpointStore
from voicepod.api.durations import seconds
from voicepod.api.names import (
    AGENT_CONTAINER,
    ANNOTATION_GENERATION,
    ANNOTATION_ROOM,
    ANNOTATION_TEMPLATE_HASH,
    API_VERSION,
    LABEL_AGENT,
    LABEL_MANAGED_BY,
    LABEL_SESSION,
    MANAGED_BY,
    SIDECAR_CONTAINER,
)
from voicepod.assignment.ports import AGENT_PORT, OPERATOR_PORT, RUNTIME_PATH

Manifest = dict[str, Any]

# What is left of the termination grace when the call has said goodbye: the agent's process and
# the sidecar exit one after the other, in about a second each on an idle machine.
_EXIT_MARGIN: Final = 10

# The user that LiveKit's own images of agents run as. It must be a number: the kubelet cannot tell
# whether a user given by name is root.
_USER: Final = 10001

# Random bytes of the keys that are drawn for each pod; 256 bits cannot be guessed.
_KEY_BYTES: Final = 32

# Keeps Karpenter and Cluster Autoscaler from removing the node under a live call.
DO_NOT_DISRUPT: Final = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}

# What every pod asks for on top of the template's own containers.
SIDECAR_REQUESTS: Final = {"cpu": "10m", "memory": "48Mi"}

# A dedicated agent runs one job: LiveKit's default of one idle process for each CPU would keep
# memory that is never used, and so would models that the call may not need.
_AGENT_DEFAULTS: Final = {"NUM_CPUS": "1", "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}


@dataclass(frozen=True, slots=True)
class Template:
    """A PodTemplateSpec, and the hash that its pods carry (``warm.hashed``)."""

    manifest: Manifest
    hash: str
    store: CheckpointStore | None = None
    """Where the sidecars keep their checkpoints."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What every sidecar is told, whichever pod it is in."""

    image: str
    operator_url: str
    public_key: str
    """Base64 of the raw Ed25519 key that assignments are verified with."""


@dataclass(frozen=True, slots=True)
class PodKeys:
    """What is drawn at random for each pod, and of use in it alone."""

    api_secret: str
    """The agent proves with it to the sidecar, on the pod's loopback, who it is."""
    stop_key: str
    """The kubelet's preStop hook shows it to the sidecar."""

    @classmethod
    def draw(cls) -> "PodKeys":
        """Return new keys."""
        return cls(secrets.token_urlsafe(_KEY_BYTES), secrets.token_urlsafe(_KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Owner:
    """The session that a pod is for."""

    namespace: str
    name: str
    uid: str
    agent: str
    room: str


def pod_name(session: str, generation: int) -> str:
    """Return the name of a session's pod: a generation has one pod, however often it is tried."""
    return f"{session}-{generation}"


def build_pod(
    template: Template,
    owner: Owner,
    generation: int,
    shutdown_grace: float,
    sidecar: Sidecar,
    keys: PodKeys,
) -> Manifest:
    """Return the manifest of a session's pod; ``shutdown_grace`` is in seconds."""
    pod = common_pod(template, owner.agent, shutdown_grace, sidecar, keys)
    metadata = pod["metadata"]
    metadata["annotations"][ANNOTATION_TEMPLATE_HASH] = template.hash
    metadata["name"] = pod_name(owner.name, generation)
    metadata["namespace"] = owner.namespace
    for part, values in session_metadata(owner, generation).items():
        metadata[part] = {**metadata[part], **values} if isinstance(values, dict) else values
    return pod


def session_metadata(owner: Owner, generation: int) -> Manifest:
    """Return what makes a pod a session's own: labels, annotations, ownerReferences."""
    return {
        "labels": {LABEL_SESSION: owner.name},
        "annotations": {
            **DO_NOT_DISRUPT,
            ANNOTATION_GENERATION: str(generation),
            ANNOTATION_ROOM: owner.room,
        },
        "ownerReferences": [owned_by("VoiceSession", owner.name, owner.uid)],
    }


def owned_by(kind: str, name: str, uid: str) -> Manifest:
    """Return the reference to the resource that controls a pod."""
    return {"apiVersion": API_VERSION, "kind": kind, "name": name, "uid": uid, "controller": True}


def common_pod(
    template: Template, agent: str, shutdown_grace: float, sidecar: Sidecar, keys: PodKeys
) -> Manifest:
    """Return what all pods of a VoiceAgent have in common: no name and no owner yet."""
    manifest = without_nulls(template.manifest)
    metadata, spec = manifest.get("metadata", {}), manifest["spec"]
    spec["restartPolicy"] = "Never"
    spec["automountServiceAccountToken"] = False
    spec["enableServiceLinks"] = False
    spec["terminationGracePeriodSeconds"] = math.ceil(shutdown_grace) + _EXIT_MARGIN
    spec["initContainers"] = [
        _sidecar(sidecar, template.store, keys),
        *spec.get("initContainers", []),
    ]
    for container in spec["containers"]:
        if container["name"] == AGENT_CONTAINER:
            _connect_agent(container, keys)
    _restrict(spec)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "labels": {
                **metadata.get("labels", {}),
                LABEL_MANAGED_BY: MANAGED_BY,
                LABEL_AGENT: agent,
            },
            "annotations": metadata.get("annotations", {}),
        },
        "spec": spec,
    }


def without_nulls(value: Any) -> Any:
    """Return a deep copy without nulls: to the API server they mean that nothing was written."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _sidecar(sidecar: Sidecar, store: CheckpointStore | None, keys: PodKeys) -> Manifest:
    return {
        "name": SIDECAR_CONTAINER,
        "image": sidecar.image,
        "args": ["sidecar"],
        # A native sidecar: it is up before the agent and goes after it.
        "restartPolicy": "Always",
        "ports": [{"name": "voicepod", "containerPort": OPERATOR_PORT}],
        "env": [
            _from_field("VOICEPOD_POD_NAME", "metadata.name"),
            _from_field("VOICEPOD_POD_NAMESPACE", "metadata.namespace"),
            _from_field("VOICEPOD_POD_UID", "metadata.uid"),
            {"name": "VOICEPOD_OPERATOR_URL", "value": sidecar.operator_url},
            {"name": "VOICEPOD_OPERATOR_PUBLIC_KEY", "value": sidecar.public_key},
            {"name": "VOICEPOD_STOP_KEY", "value": keys.stop_key},
            {"name": "VOICEPOD_AGENT_KEY", "value": keys.api_secret},
            *(_kept_in(store) if store else []),
        ],
        # Ready means that the agent has registered, and so the pod is ready then.
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": OPERATOR_PORT},
            "periodSeconds": 1,
        },
        "resources": {
            "requests": SIDECAR_REQUESTS,
            "limits": {"memory": "128Mi"},
        },
        # So that a session can say why its sidecar does not come up.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"readOnlyRootFilesystem": True, "runAsUser": _USER},
    }


def _kept_in(store: CheckpointStore) -> list[Manifest]:
    return [
        {
            "name": "VOICEPOD_REDIS_URL",
            "valueFrom": {"secretKeyRef": {"name": store.redis_secret_ref.name, "key": REDIS_URL}},
        },
        {"name": "VOICEPOD_CHECKPOINT_TTL", "value": str(math.ceil(seconds(store.ttl)))},
    ]


def _connect_agent(container: Manifest, keys: PodKeys) -> None:
    """Point the user's container at the sidecar, and tell the sidecar when it is to stop."""
    forced = {
        "LIVEKIT_URL": f"ws://127.0.0.1:{AGENT_PORT}",
        "LIVEKIT_API_KEY": "voicepod",
        "LIVEKIT_API_SECRET": keys.api_secret,
        "VOICEPOD_RUNTIME_URL": f"http://127.0.0.1:{AGENT_PORT}{RUNTIME_PATH}",
    }
    own = [entry for entry in container.get("env", []) if entry.get("name") not in forced]
    defaults = {
        name: value
        for name, value in _AGENT_DEFAULTS.items()
        if not any(entry.get("name") == name for entry in own)
    }
    container["env"] = [
        *own,
        *({"name": name, "value": value} for name, value in (defaults | forced).items()),
    ]
    container.setdefault("lifecycle", {}).setdefault(
        "preStop",
        {
            "httpGet": {
                "path": "/stopping",
                "port": OPERATOR_PORT,
                "httpHeaders": [{"name": "Authorization", "value": f"Bearer {keys.stop_key}"}],
            }
        },
    )
    # So that the last words of a crashed agent stand in the pod's status, and in the session's.
    container.setdefault("terminationMessagePolicy", "FallbackToLogsOnError")


def _restrict(spec: Manifest) -> None:
    """Meet the restricted Pod Security Standard wherever the user's template says nothing else."""
    pod = spec.setdefault("securityContext", {})
    pod.setdefault("runAsNonRoot", True)
    pod.setdefault("runAsUser", _USER)
    pod.setdefault("seccompProfile", {"type": "RuntimeDefault"})
    for container in [*spec["initContainers"], *spec["containers"]]:
        context = container.setdefault("securityContext", {})
        context.setdefault("allowPrivilegeEscalation", False)
        context.setdefault("capabilities", {"drop": ["ALL"]})


def _from_field(name: str, path: str) -> Manifest:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
