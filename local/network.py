"""The pods' network: one bridge, there before the first pod: host processes listen on its address.

The host is the pods' router, and reaches them and the Services through the same bridge.
Masquerading is one rule here rather than the CNI plugin's chain for each pod: fewer iptables calls
when a pod starts.
"""

import ipaddress
import json
import shlex
from pathlib import Path

from local import machine
from local.errors import LocalError
from local.layout import BRIDGE, BRIDGE_IP, POD_NETWORK, SERVICE_NETWORK
from local.run import run, succeeds

IPTABLES = ("iptables", "-w", "-t")  # waits for the lock, is told the table next
TAG = "voicepod-local"

# A fixed address: a bridge without one takes the lowest of its ports', and changes it as pods come
# and go.
BRIDGE_MAC = "02:76:6f:69:63:65"

# In front of a firewall's or Docker's own rules, which may drop what they don't know.
RULES = (
    ("nat", "POSTROUTING", f"-s {POD_NETWORK} ! -d {POD_NETWORK} -j MASQUERADE"),
    ("filter", "FORWARD", f"-i {BRIDGE} -j ACCEPT"),
    ("filter", "FORWARD", f"-o {BRIDGE} -j ACCEPT"),
    ("filter", "INPUT", f"-i {BRIDGE} -j ACCEPT"),
)

# Chains of kube-proxy and kubelet all begin so.
KUBERNETES = "KUBE-"


def check_free() -> None:
    """Raise LocalError when another network or another Kubernetes node is in the way."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show"]))
    for route in overlapping([route["dst"] for route in routes]):
        raise LocalError(
            f"this machine already routes {route}, which overlaps {POD_NETWORK} or "
            f"{SERVICE_NETWORK}: use another machine, or CLUSTER=current"
        )
    if any(KUBERNETES in run([*IPTABLES, table, "-S"]) for table in ("nat", "filter")):
        raise LocalError(
            "a Kubernetes node runs on this machine, or left its iptables rules: "
            "CLUSTER=current uses it"
        )


def overlapping(destinations: list[str]) -> list[str]:
    """Return those of some routes' destinations that overlap the cluster's networks."""
    ours = [ipaddress.ip_network(network) for network in (POD_NETWORK, SERVICE_NETWORK)]
    return [
        destination
        for destination in destinations
        if destination != "default"
        and any(ipaddress.ip_network(destination).overlaps(network) for network in ours)
    ]


def up() -> None:
    """Make the bridge, its route to the Services, and the rules; what is there stays."""
    if not Path("/proc/sys/net/bridge").exists():
        run(["modprobe", "br_netfilter"])
    machine.turn_on("net/ipv4/ip_forward")
    machine.turn_on("net/bridge/bridge-nf-call-iptables")
    if not Path("/sys/class/net", BRIDGE).exists():
        run(["ip", "link", "add", BRIDGE, "address", BRIDGE_MAC, "type", "bridge"])
        run(["ip", "address", "add", f"{BRIDGE_IP}/24", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        # kube-proxy answers for these; the route lets the host ask from the bridge's address.
        run(["ip", "route", "add", SERVICE_NETWORK, "dev", BRIDGE])
    for table, chain, rule in RULES:
        arguments = [chain, *shlex.split(rule), "-m", "comment", "--comment", TAG]
        if not succeeds([*IPTABLES, table, "-C", *arguments]):
            run([*IPTABLES, table, "-I", *arguments])


def down() -> None:
    """Remove the pods' links, the bridge, and the rules of ours, kube-proxy's, the kubelet's."""
    for link in json.loads(run(["ip", "-json", "link", "show"])):
        if link.get("master") == BRIDGE:
            # It may go this moment by itself, with its pod's network namespace.
            succeeds(["ip", "link", "delete", link["ifname"]])
    if Path("/sys/class/net", BRIDGE).exists():
        run(["ip", "link", "delete", BRIDGE])
    for table in ("nat", "filter", "mangle"):
        lines = [f"*{table}", *removals(run([*IPTABLES, table, "-S"])), "COMMIT", ""]
        run(["iptables-restore", "-w", "--noflush"], data="\n".join(lines).encode())


def removals(rules: str) -> list[str]:
    """Turn `iptables -S` into the commands that remove our rules and Kubernetes' rules and chains.

    Rules first, chains after: a chain that something jumps to can't be removed.
    """
    lines = [line for line in rules.splitlines() if KUBERNETES in line or TAG in line]
    chains = [line.split()[1] for line in lines if line.startswith("-N ")]
    elsewhere = [line for line in lines if line[:3] == "-A " and line.split()[1] not in chains]
    return [
        *(line.replace("-A", "-D", 1) for line in elsewhere),
        *(f"-F {chain}" for chain in chains),
        *(f"-X {chain}" for chain in chains),
    ]
