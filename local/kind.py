"""A cluster in Docker by kind, with livekit-server on the host, on the gateway of kind's network.

From the host, Services are reached by a route through kind's node, whose kube-proxy answers for
them: so LiveKit's webhooks get to the gateway by its ClusterIP, as in the embedded cluster.
"""

import json
import shutil

from local import livekit, machine, tools
from local.cluster import Cluster
from local.daemon import Daemons
from local.errors import LocalError
from local.images import Image
from local.layout import BIN, GATEWAY_IP, GATEWAY_WEBHOOK, KUBECONFIG, SERVICE_NETWORK, STATE
from local.progress import step
from local.run import exclusive, run

NAME = "voicepod-local"
DAEMONS = Daemons(STATE)
TOOLS = frozenset({"kubectl", "helm", "livekit-server"})
CONFIG = f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: {{serviceSubnet: {SERVICE_NETWORK}}}
"""


def up() -> Cluster:
    """Create kind's cluster and start LiveKit where they don't run."""
    machine.require_root()
    with exclusive(STATE.parent):
        STATE.mkdir(mode=0o700, exist_ok=True)
        clusters = run(["kind", "get", "clusters"]).split()
        tools.ensure_tools(BIN, TOOLS)
        if NAME not in clusters:
            with step("creating kind's cluster"):
                options = [f"--name={NAME}", f"--kubeconfig={KUBECONFIG}", "--wait=120s"]
                run(["kind", "create", "cluster", "--config=-", *options], data=CONFIG.encode())
        run(["ip", "route", "replace", SERVICE_NETWORK, "via", _node_address()])
        bridge, address = _gateway()
        livekit.start(DAEMONS, bridge, address, GATEWAY_WEBHOOK)
    return find()


def find() -> Cluster:
    """Return the cluster that is up. Raises LocalError when there is none."""
    if not DAEMONS.alive("livekit-server"):
        raise LocalError("no cluster is up on this machine: `python -m local up` starts it")
    keys = livekit.credentials(STATE)
    return Cluster(
        provider="kind",
        kubeconfig=KUBECONFIG,
        kubectl=BIN / "kubectl",
        helm=BIN / "helm",
        livekit_url=f"ws://{_gateway()[1]}:{livekit.PORTS.http}",
        livekit_api_key=keys.api_key,
        livekit_api_secret=keys.api_secret,
        gateway_ip=GATEWAY_IP,
    )


def build(image: Image) -> None:
    """Build an image with Docker, and load it into kind's node."""
    arguments = [f"--build-arg={name}={value}" for name, value in image.arguments.items()]
    with step(f"building {image.name}"):
        run(
            ["docker", "build", "-t", image.name, "-f", image.dockerfile, *arguments, image.context]
        )
    with step(f"loading {image.name}"):
        run(["kind", "load", "docker-image", f"--name={NAME}", image.name])


def down() -> None:
    """Delete kind's cluster, the route to it, and LiveKit."""
    with exclusive(STATE.parent):
        if STATE.exists():
            livekit.stop(DAEMONS)
            # The route goes with the Docker network's last address of the node.
            run(["ip", "route", "delete", SERVICE_NETWORK])
            run(["kind", "delete", "cluster", f"--name={NAME}", f"--kubeconfig={KUBECONFIG}"])
            shutil.rmtree(STATE)


def _node_address() -> str:
    address = "{{.NetworkSettings.Networks.kind.IPAddress}}"
    return run(["docker", "inspect", f"{NAME}-control-plane", f"--format={address}"]).strip()


def _gateway() -> tuple[str, str]:
    """Return the host's interface on kind's network, and its IPv4 address there."""
    network = json.loads(run(["docker", "network", "inspect", "kind"]))[0]
    gateways = [config.get("Gateway", "") for config in network["IPAM"]["Config"]]
    return f"br-{network['Id'][:12]}", next(one for one in gateways if "." in one)
