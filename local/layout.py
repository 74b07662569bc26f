"""Where things are: the machine's one state directory, the cache, and the fixed addresses.

The state belongs to the machine, not to a checkout, so a second clone finds the running cluster.
The cache survives `down`: it holds what takes minutes to make (the built tools, the image layers)
and nothing that a fresh machine could not make again.
"""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
STATE = Path("/var/lib/voicepod-local")
BIN = STATE / "bin"
KUBECONFIG = STATE / "kubeconfig"

# Private ranges that no common default (Docker's 172.17+, flannel's and kind's 10.244 and 10.96)
# uses.
BRIDGE = "voicepod0"
BRIDGE_IP = "10.213.0.1"
POD_NETWORK = "10.213.0.0/24"
SERVICE_NETWORK = "10.214.0.0/16"
API_SERVICE_IP = "10.214.0.1"
# Below 10.214.1.0, where the API server never takes an address by itself (its static band).
GATEWAY_IP = "10.214.0.100"
GATEWAY_WEBHOOK = f"http://{GATEWAY_IP}:9552/livekit/webhook"


def cache() -> Path:
    """Return $VOICEPOD_CACHE, else $XDG_CACHE_HOME/voicepod, else ~/.cache/voicepod; make it."""
    if named := os.environ.get("VOICEPOD_CACHE"):
        path = Path(named).absolute()
    else:
        path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voicepod"
    path.mkdir(parents=True, exist_ok=True)
    return path
