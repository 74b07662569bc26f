"""The cluster of the user's kubeconfig and the user's LiveKit: nothing is started or ended."""

import os
import shutil
from pathlib import Path

from local.cluster import Cluster
from local.errors import LocalError
from local.images import AGENT, OPERATOR, Image
from local.progress import console
from local.run import run

VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


def up() -> Cluster:
    """Check that the cluster answers, and say what it must have."""
    found = find()
    context = run([found.kubectl, "config", "current-context"]).strip()
    run([found.kubectl, "get", "namespaces", "--request-timeout=10s"])
    console.print(
        f"using the kubeconfig's context {context}. Its nodes must be able to pull "
        f"{OPERATOR.name} and {AGENT.name}, and LiveKit must "
        "post its webhooks to the gateway's /livekit/webhook."
    )
    return found


def find() -> Cluster:
    """Return what the environment names. Raises LocalError for what is missing."""
    programs = {name: shutil.which(name) for name in ("kubectl", "helm")}
    missing = [name for name, path in programs.items() if path is None]
    missing += [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise LocalError(
            f"CLUSTER=current needs {', '.join(missing)}: on the PATH, in the environment"
        )
    url, key, secret = (os.environ[name] for name in VARIABLES)
    return Cluster(
        provider="current",
        kubeconfig=Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config"),
        kubectl=Path(str(programs["kubectl"])),
        helm=Path(str(programs["helm"])),
        livekit_url=url,
        livekit_api_key=key,
        livekit_api_secret=secret,
        gateway_ip=None,
    )


def build(image: Image) -> None:
    """Leave the images to the user, who has pushed them to where the nodes pull from."""


def down() -> None:
    """Leave the user's cluster as it is."""
