"""Karpenter with KWOK's nodes: the nodes that it asks for are there, and gone, as a cloud's are."""

import json
from dataclasses import dataclass
from typing import Any

from local import tools
from local.run import run
from local.scale.site import ADDRESS, KARPENTER, KARPENTER_PORTS, PLANE, SYSTEM
from voicepod.api.durations import seconds
from voicepod.builders.pod import SIDECAR_REQUESTS
from voicepod.plan.inputs import amount

MODULE = "sigs.k8s.io/karpenter"

READY_URL = f"http://{ADDRESS}:{KARPENTER_PORTS['health-probe']}/readyz"

AGENT_REQUESTS = {"cpu": "100m", "memory": "160Mi"}
"""What an agent's container asks for: the README's."""

# From the order of a node until its kubelet registers: clouds take some 40 s.
NODE_SECONDS = 40.0

# For how long Karpenter waits for more pods before it orders nodes: after each of them, and after
# the first. These are its defaults, in seconds.
_BATCHES = {"batch-idle-duration": 1.0, "batch-max-duration": 10.0}

# How many of a pool's nodes Karpenter removes at once, in percent: its default.
_GOING = 10.0

# What Karpenter takes off each of KWOK's nodes for the kubelet.
_RESERVED = {"cpu": 0.1, "memory": 10 * 2**20}


@dataclass(frozen=True)
class Autoscaled:
    """Nodes that follow the pods, and how fast everything goes."""

    places: int
    """How many agents a node has room for."""
    pace: float
    """How many times as fast as in life nodes come and go, and pods start and exit."""


def start(nodes: Autoscaled) -> None:
    """Start Karpenter; it has no pool of nodes yet."""
    sources = tools.sources(KARPENTER, MODULE)
    run(
        [
            *PLANE.kubectl,
            *("apply", "--server-side"),
            *("-f", sources / "pkg/apis/crds", "-f", sources / "kwok/apis/crds"),
        ]
    )
    run([*PLANE.kubectl, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"])
    types = PLANE.state / "instance-types.json"
    types.write_text(json.dumps([_instance_type(nodes.places)]))
    PLANE.daemons.start(
        KARPENTER,
        "--disable-leader-election=true",
        f"--instance-types-file-path={types}",
        *(f"--{name}={1000 * value / nodes.pace:.0f}ms" for name, value in _BATCHES.items()),
        *(f"--{name}-port={port}" for name, port in KARPENTER_PORTS.items()),
        env={"KUBECONFIG": str(PLANE.kubeconfig_of(KARPENTER)), "SYSTEM_NAMESPACE": SYSTEM},
    )


def _instance_type(places: int) -> dict[str, Any]:
    """Return the one kind of node that there is to be had."""
    sizes = {
        resource: places * (amount(AGENT_REQUESTS[resource]) + amount(SIDECAR_REQUESTS[resource]))
        + _RESERVED[resource]
        for resource in AGENT_REQUESTS
    }
    labels = {"karpenter.sh/capacity-type": "on-demand", "topology.kubernetes.io/zone": "here"}
    requirements = [
        {"key": key, "operator": "In", "values": [value]} for key, value in labels.items()
    ]
    return {
        "name": f"agents-{places}",
        "offerings": [{"Price": 0.1, "Available": True, "Requirements": requirements}],
        "architecture": "amd64",
        "operatingSystems": ["linux"],
        "resources": {
            "cpu": f"{round(1000 * sizes['cpu'])}m",
            "memory": str(round(sizes["memory"])),
        },
    }


def adapted(pool: dict[str, Any], pace: float) -> list[dict[str, Any]]:
    """Return a NodePool with KWOK's nodes in the place of a cloud's, and their class.

    What else it says of time is compressed: how long a node stays that is not needed, and how many
    may go at once, since it takes each of them as long as in life.
    """
    pool["spec"]["template"]["spec"]["nodeClassRef"] = {
        "group": "karpenter.kwok.sh",
        "kind": "KWOKNodeClass",
        "name": "default",
    }
    disruption = pool["spec"]["disruption"]
    disruption["consolidateAfter"] = f"{seconds(disruption['consolidateAfter']) / pace:.0f}s"
    disruption["budgets"] = [{"nodes": f"{min(100.0, _GOING * pace):.0f}%"}]
    node_class = {
        "apiVersion": "karpenter.kwok.sh/v1alpha1",
        "kind": "KWOKNodeClass",
        "metadata": {"name": "default"},
        "spec": {"nodeRegistrationDelay": f"{NODE_SECONDS / pace:.0f}s"},
    }
    return [node_class, pool]
