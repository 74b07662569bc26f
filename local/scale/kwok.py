"""KWOK: nodes that are always ready, and pods that are ready a while after they were scheduled."""

import json
from collections.abc import Mapping
from typing import Any

from local.scale.site import ADDRESS, KWOK, PLANE

NODES = 10
"""How many there are, unless somebody says otherwise."""

# The kubelet's default, and more than such pods need of it; but for nodes that say it themselves.
CAPACITY = {"cpu": "32", "memory": "256Gi", "pods": "110"}

REFILL_SECONDS = (2.0, 3.0)
"""From a pod's place on a node to its readiness, uniformly between these: what the default agent's
pod takes on a node that has its image (some 2.2 s from the call to the agent in the room)."""

# What a sidecar takes to exit. Without it KWOK deletes each pod twice: the second time for the news
# of the first.
EXIT_SECONDS = 1.0

NOTHING_TO_DO = {"kwok.voicepod.dev/nothing-to-do": "true"}
"""The annotation of a pod that KWOK passes over.

Each time that its watch begins anew KWOK looks at all pods, and each costs it half a millisecond:
of ten thousand that is seconds, in which the news of others wait, until the API server ends the
watch for its being slow, and so on.
"""

_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'

# A node's lease is kept by KWOK itself; its status is written once.
_NODE_STATUS = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- address: %(address)s
  type: InternalIP
{{ with .status }}
allocatable:
{{ with .allocatable }}{{ YAML . 1 }}{{ else }}  %(capacity)s{{ end }}
capacity:
{{ with .capacity }}{{ YAML . 1 }}{{ else }}  %(capacity)s{{ end }}
{{ end }}
phase: Running
"""

# All pods have the address of the one stand-in; whom a request is for stands in the request.
_POD_STATUS = """
{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- lastTransitionTime: {{ $now | Quote }}
  status: "True"
  type: {{ $type | Quote }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
initContainerStatuses:
{{ range .spec.initContainers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  started: true
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
hostIP: %(address)s
podIP: %(address)s
podIPs:
- ip: %(address)s
phase: Running
startTime: {{ $now | Quote }}
"""


def configuration(pace: float) -> str:
    """Return the file that KWOK reads: its own settings, and what happens to nodes and pods.

    Pods start and exit `pace` times as fast as they do.
    """
    values = {"address": ADDRESS, "capacity": json.dumps(CAPACITY)}
    times = (*REFILL_SECONDS, EXIT_SECONDS)
    least, most, leaving = (int(1000 * seconds / pace) for seconds in times)
    documents: list[Mapping[str, Any]] = [
        {
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokConfiguration",
            "options": {
                "manageAllNodes": True,
                # A file brings no defaults with it; these are KWOK's own, but for the pods': each
                # kubelet would see to its own ones.
                "nodeLeaseParallelism": 4,
                "nodePlayStageParallelism": 4,
                "podPlayStageParallelism": NODES,
                "podsOnNodeSyncParallelism": 1,
                "disregardStatusWithAnnotationSelector": ",".join(
                    f"{key}={value}" for key, value in NOTHING_TO_DO.items()
                ),
            },
        },
        _stage(
            "node-initialize",
            "Node",
            [{"key": _READY, "operator": "NotIn", "values": ["True"]}],
            {"statusTemplate": _NODE_STATUS % values},
        ),
        _stage(
            "pod-ready",
            "Pod",
            [
                {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
                {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
            ],
            {"statusTemplate": _POD_STATUS % values},
            {"durationMilliseconds": least, "jitterDurationMilliseconds": most},
        ),
        _stage(
            "pod-delete",
            "Pod",
            [{"key": ".metadata.deletionTimestamp", "operator": "Exists"}],
            {"delete": True},
            {"durationMilliseconds": leaving},
        ),
    ]
    return "\n---\n".join(json.dumps(document) for document in documents)  # JSON is YAML


def _stage(
    name: str,
    kind: str,
    conditions: list[dict[str, Any]],
    then: dict[str, Any],
    delay: dict[str, int] | None = None,
) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": conditions},
            **({"delay": delay} if delay else {}),
            "next": then,
        },
    }


def name_of(number: int) -> str:
    """Return the name of a node; the first is 0."""
    return f"kwok-{number}"


def nodes(count: int) -> list[dict[str, Any]]:
    """Return the manifests of the nodes."""
    return [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name_of(number)}}
        for number in range(count)
    ]


def start(pace: float) -> None:
    """Start KWOK for the nodes that there are and will be."""
    config = PLANE.state / "kwok.yaml"
    config.write_text(configuration(pace))
    PLANE.daemons.start(
        KWOK,
        f"--config={config}",
        f"--kubeconfig={PLANE.kubeconfig_of(KWOK)}",
        # No server for the logs of containers that there are not.
        "--node-port=0",
        # The kubelet's: it renews its lease after a quarter of this.
        "--node-lease-duration-seconds=40",
        env={"KWOK_WORKDIR": str(PLANE.state / "kwok")},
    )
