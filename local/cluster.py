"""What a caller gets to know of a cluster, whoever provides it."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cluster:
    """A running cluster with its LiveKit server.

    `livekit_url` is good for pods and for this machine alike. `gateway_ip` is the ClusterIP that
    the gateway's Service must have, since LiveKit posts its webhooks there; None when the webhooks
    are the user's own affair.
    """

    provider: str
    kubeconfig: Path
    kubectl: Path
    helm: Path
    livekit_url: str
    livekit_api_key: str
    livekit_api_secret: str
    gateway_ip: str | None

    def environment(self) -> dict[str, str]:
        """Return the variables by which kubectl, helm and LiveKit's tools find the cluster."""
        directories = dict.fromkeys(str(path.parent) for path in (self.kubectl, self.helm))
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "PATH": ":".join([*directories, os.environ.get("PATH", "")]),
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.livekit_api_key,
            "LIVEKIT_API_SECRET": self.livekit_api_secret,
        }
