"""The chart on the local cluster, and the manifests that the demo and the tests apply."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import step
from local.run import run

NAMESPACE = "voicepod-system"
"""Where the chart is."""

CREDENTIALS = "livekit"
"""The Secret with LiveKit's key pair, in every namespace that has a VoiceAgent."""

AGENT_IMAGE = "voicepod/agent:dev"

CHART = REPOSITORY / "charts/voicepod"


def helm(cluster: Cluster, *arguments: str | Path) -> str:
    """Run helm against the cluster; raises LocalError with its words when it fails."""
    return run([cluster.helm, *arguments], env=cluster.environment())


def kubectl(cluster: Cluster, *arguments: str | Path, data: bytes | None = None) -> str:
    """Run kubectl against the cluster; raises LocalError with its words when it fails."""
    return run([cluster.kubectl, *arguments], env=cluster.environment(), data=data)


def apply(cluster: Cluster, manifest: Mapping[str, Any]) -> None:
    """Apply a manifest as a user does with `kubectl apply`."""
    kubectl(cluster, "apply", "-f", "-", data=json.dumps(manifest).encode())


def install(cluster: Cluster, *values: str) -> None:
    """Install the chart, or upgrade it, and wait until operator and gateway are ready.

    `values` are what `helm --set` takes.
    """
    settings = [
        "image.tag=dev",
        # The tag stays when the image is built anew; this makes the pods follow.
        f"podAnnotations.voicepod\\.dev/source={_digest()}",
    ]
    if cluster.gateway_ip:
        settings.append(f"gateway.service.clusterIP={cluster.gateway_ip}")
    with step("installing the chart"):
        helm(
            cluster,
            *("upgrade", "--install", "voicepod", CHART),
            *("--namespace", NAMESPACE, "--create-namespace"),
            *(part for setting in settings for part in ("--set-string", setting)),
            *(part for value in values for part in ("--set", value)),
            *("--wait", "--timeout", "3m"),
        )


def _digest() -> str:
    """Return a hash of what the operator's image is made of."""
    digest = hashlib.sha256((REPOSITORY / "requirements.lock").read_bytes())
    for source in sorted((REPOSITORY / "operator").rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def make_namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace for agents, with restricted Pod Security and LiveKit's key pair in it."""
    apply(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": name,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
    )
    apply(
        cluster,
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS, "namespace": name},
            "stringData": {
                "LIVEKIT_API_KEY": cluster.livekit_api_key,
                "LIVEKIT_API_SECRET": cluster.livekit_api_secret,
            },
        },
    )


AGENT_RESOURCES = {"requests": {"cpu": "100m", "memory": "160Mi"}}
"""What a pod of the default agent takes in a call. A container that asks for no CPU has no weight
either: on a busy node it would get next to nothing while it joins."""


def voice_agent(cluster: Cluster, namespace: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return a VoiceAgent that runs the default agent; `spec` has what differs."""
    return {
        "apiVersion": "voicepod.dev/v1alpha1",
        "kind": "VoiceAgent",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "livekit": {
                "url": cluster.livekit_url,
                "credentialsSecretRef": {"name": CREDENTIALS},
            },
            "template": {
                "spec": {
                    "containers": [
                        {"name": "agent", "image": AGENT_IMAGE, "resources": AGENT_RESOURCES}
                    ]
                }
            },
            **spec,
        },
    }
