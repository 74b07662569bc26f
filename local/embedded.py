"""The cluster of one's own: Kubernetes' programs as processes of the host, without Docker."""

import shutil
from pathlib import Path

from local import (
    debian,
    dns,
    handover,
    livekit,
    machine,
    network,
    node,
    remains,
    tools,
)
from local.buildah import build as build_image
from local.cluster import Cluster
from local.controlplane import CLUSTER
from local.errors import LocalError
from local.images import Image
from local.layout import (
    BIN,
    BRIDGE,
    BRIDGE_IP,
    GATEWAY_IP,
    GATEWAY_WEBHOOK,
    KUBECONFIG,
    STATE,
    cache,
)
from local.progress import step
from local.run import exclusive

# KWOK plays kubelets, and this cluster has a real one.
TOOLS = frozenset(tool.name for tool in tools.TOOLS) - {"kwok", "karpenter"}
SANDBOX = Image(node.SANDBOX_IMAGE, Path(__file__).with_name("sandbox.Dockerfile"), Path("/bin"))


def up() -> Cluster:
    """Start what does not run, and wait until pods can be run and rooms joined."""
    machine.require_root()
    debian.ensure_packages()
    with exclusive(STATE.parent):
        if not STATE.exists():
            network.check_free()
            STATE.mkdir(mode=0o700)
        tools.ensure_tools(BIN, TOOLS)
        machine.note()
        network.up()
        CLUSTER.credentials()
        node.credentials()
        CLUSTER.start()
        node.start_containerd()
        handover.load(build_image(SANDBOX), SANDBOX.name)
        node.start()
        dns.start()
        livekit.start(CLUSTER.daemons, BRIDGE, BRIDGE_IP, GATEWAY_WEBHOOK)
    return find()


def find() -> Cluster:
    """Return the cluster that is up. Raises LocalError when there is none."""
    machine.require_root()
    if not all(CLUSTER.daemons.alive(name) for name in ("kube-apiserver", "livekit-server")):
        raise LocalError("no cluster is up on this machine: `python -m local up` starts it")
    keys = livekit.credentials(STATE)
    return Cluster(
        provider="embedded",
        kubeconfig=KUBECONFIG,
        kubectl=BIN / "kubectl",
        helm=BIN / "helm",
        livekit_url=f"ws://{BRIDGE_IP}:{livekit.PORTS.http}",
        livekit_api_key=keys.api_key,
        livekit_api_secret=keys.api_secret,
        gateway_ip=GATEWAY_IP,
    )


def build(image: Image) -> None:
    """Build an image, and hand it to the cluster that is up."""
    find()
    handover.load(build_image(image), image.name)


def down() -> None:
    """End every process, and put the machine back as it was; the cache stays."""
    machine.require_root()
    with exclusive(STATE.parent), exclusive(cache()):
        if not STATE.exists():
            return
        with step("ending the cluster"):
            CLUSTER.daemons.stop(CLUSTER.daemons.names(), livekit.GRACE_SECONDS)
            remains.clear()
            network.down()
            machine.put_back()
            shutil.rmtree(STATE)
