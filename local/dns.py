"""The cluster's DNS: CoreDNS as a process of the host, on the bridge's address.

So a pod with the usual `dnsPolicy: ClusterFirst` finds Services by name and the world by the
host's resolvers.
"""

from pathlib import Path

from local.controlplane import CLUSTER
from local.daemon import listens
from local.layout import BRIDGE_IP, KUBECONFIG, STATE

READY_SECONDS = 30.0

HOST_RESOLVERS = Path("/etc/resolv.conf")


def start() -> None:
    """Start CoreDNS unless it runs, and wait until it accepts connections."""
    config = STATE / "Corefile"
    config.write_text(corefile(HOST_RESOLVERS.read_text() if HOST_RESOLVERS.exists() else ""))
    CLUSTER.daemons.start("coredns", f"-conf={config}")
    CLUSTER.daemons.wait(
        "starting CoreDNS",
        lambda: listens(BRIDGE_IP, 53),
        needs=("coredns",),
        seconds=READY_SECONDS,
    )


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
