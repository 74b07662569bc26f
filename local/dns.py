"""The cluster's DNS: CoreDNS as a process of the host, on the bridge's address.

So a pod with the usual `dnsPolicy: ClusterFirst` finds Services by name and the world by the
host's resolvers.
"""

import socket
from pathlib import Path

from local.controlplane import CLUSTER
from local.layout import BRIDGE_IP, KUBECONFIG, STATE

READY_SECONDS = 30.0

HOST_RESOLVERS = Path("/etc/resolv.conf")


def start() -> None:
    """Start CoreDNS unless it runs, and wait until it accepts connections."""
    config = STATE / "Corefile"
    config.write_text(corefile(HOST_RESOLVERS.read_text() if HOST_RESOLVERS.exists() else ""))
    CLUSTER.daemons.start("coredns", f"-conf={config}")
    CLUSTER.daemons.wait("starting CoreDNS", _listens, needs=("coredns",), seconds=READY_SECONDS)


def corefile(resolvers: str) -> str:
    """Return CoreDNS's configuration for a host with this /etc/resolv.conf, empty or not."""
    forward = f"forward . {HOST_RESOLVERS}" if "nameserver" in resolvers else ""
    return f"""\
.:53 {{
    bind {BRIDGE_IP}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {KUBECONFIG}
        fallthrough in-addr.arpa
    }}
    {forward}
}}
"""


def _listens() -> bool:
    try:
        with socket.create_connection((BRIDGE_IP, 53), timeout=1):
            return True
    except OSError:
        return False
