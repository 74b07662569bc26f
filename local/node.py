"""The one node: containerd, the kubelet, kube-proxy, and the pods' share of the network."""

import json

from local.controlplane import CLUSTER
from local.layout import BRIDGE, BRIDGE_IP, POD_NETWORK, STATE
from local.run import run, succeeds

NAME = "voicepod-local"
SANDBOX_IMAGE = "voicepod.local/sandbox:1"

CONTAINERD = STATE / "containerd"
CONTAINERD_SOCKET = CONTAINERD / "containerd.sock"
CTR = ("ctr", f"--address={CONTAINERD_SOCKET}", "--namespace=k8s.io")
KUBELET = STATE / "kubelet"
CNI = STATE / "cni"

READY_SECONDS = 60.0

# Version 3 of containerd's configuration. Everything that has a default place outside the state
# directory gets one in it.
CONTAINERD_CONFIG = f"""\
version = 3
root = "{CONTAINERD}/root"
state = "{CONTAINERD}/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.shim.v1.manager"]
socket_dir = "{CONTAINERD}/s"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{SANDBOX_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
netns_mounts_under_state_dir = true
# Without CAP_SYS_RESOURCE (a machine in a sandbox) a lower score than our own is refused, and so
# every container.
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "{CNI}/conf"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
Root = "{CONTAINERD}/runc"
"""

NETWORK_CONFIG = {
    "cniVersion": "1.0.0",
    "name": "voicepod",
    "plugins": [
        {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": True,
            "hairpinMode": True,  # a pod reaches itself through its Service
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_NETWORK, "gateway": BRIDGE_IP}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(CNI / "addresses"),
            },
        }
    ],
}

KUBELET_CONFIG = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": BRIDGE_IP,
    "authentication": {
        "anonymous": {"enabled": False},
        "webhook": {"enabled": True},
        "x509": {"clientCAFile": str(CLUSTER.authority.certificate("ca"))},
    },
    "authorization": {"mode": "Webhook"},
    "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
    "clusterDomain": "cluster.local",
    "clusterDNS": [BRIDGE_IP],
    "resolvConf": str(STATE / "resolv.conf"),
    "podLogsDir": str(KUBELET / "logs"),
    "volumePluginDir": str(KUBELET / "plugins"),
    "cgroupDriver": "cgroupfs",
    "failCgroupV1": False,
    "failSwapOn": False,
    "oomScoreAdj": 0,
    # No registry has these images: one that was collected for want of space would be lost.
    "imageGCHighThresholdPercent": 100,
    "evictionHard": {"memory.available": "100Mi"},
}


def credentials() -> None:
    """Make the certificates and kubeconfig files of the kubelet and kube-proxy."""
    CLUSTER.admit("kubelet", f"system:node:{NAME}", "system:nodes")
    CLUSTER.admit("kube-proxy", "system:kube-proxy")


def start_containerd() -> None:
    """Start containerd unless it runs, and wait until it answers."""
    CONTAINERD.mkdir(parents=True, exist_ok=True)
    config = CONTAINERD / "config.toml"
    config.write_text(CONTAINERD_CONFIG)
    CLUSTER.daemons.start("containerd", f"--config={config}")
    CLUSTER.daemons.wait(
        "starting containerd",
        lambda: succeeds([*CTR, "version"]),
        needs=("containerd",),
        seconds=READY_SECONDS,
    )


def start() -> None:
    """Start the kubelet and kube-proxy unless they run, and wait until the node takes pods."""
    for directory in (CNI / "conf", KUBELET):
        directory.mkdir(parents=True, exist_ok=True)
    (CNI / "conf" / "voicepod.conflist").write_text(json.dumps(NETWORK_CONFIG, indent=2))
    (STATE / "resolv.conf").write_text(f"nameserver {BRIDGE_IP}\n")
    config = STATE / "kubelet.json"
    config.write_text(json.dumps(KUBELET_CONFIG, indent=2))
    CLUSTER.daemons.start(
        "kubelet",
        f"--config={config}",
        f"--kubeconfig={CLUSTER.kubeconfig_of('kubelet')}",
        f"--root-dir={KUBELET}",
        f"--cert-dir={KUBELET / 'pki'}",
        f"--hostname-override={NAME}",
        f"--node-ip={BRIDGE_IP}",
    )
    CLUSTER.daemons.start(
        "kube-proxy",
        f"--kubeconfig={CLUSTER.kubeconfig_of('kube-proxy')}",
        "--proxy-mode=iptables",
        f"--hostname-override={NAME}",
        f"--cluster-cidr={POD_NETWORK}",
        "--metrics-bind-address=127.0.0.1:10249",
        "--iptables-localhost-nodeports=false",
        "--oom-score-adj=0",
        # Leave the kernel's settings of connection tracking alone.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
    )
    CLUSTER.daemons.wait(
        "waiting for the node", _ready, needs=("kube-proxy", "kubelet"), seconds=READY_SECONDS
    )


def _ready() -> bool:
    condition = "--for=condition=Ready"
    return succeeds(
        [*CLUSTER.kubectl, "wait", condition, f"node/{NAME}", "--timeout=1s"]
    ) and succeeds(
        [*CLUSTER.kubectl, "get", "serviceaccount", "default"]  # or the first pod of all is refused
    )


def containers(namespace: str, *, named: str = "", pod: str = "") -> dict[str, int]:
    """Return the containers that run in a namespace, by their ids, each with the pid of its first
    process.

    Those of one name in all pods, or all those of one pod, its sandbox among them. containerd knows
    it, whatever has become of the API server.
    """
    labels = {"pod.namespace": namespace, "container.name": named, "pod.name": pod}
    chosen = (f'labels."io.kubernetes.{key}"=={value}' for key, value in labels.items() if value)
    ids = run([*CTR, "containers", "list", "--quiet", ",".join(chosen)]).split()
    rows = (line.split() for line in run([*CTR, "tasks", "list"]).splitlines()[1:])
    return {task: int(pid) for task, pid, state in rows if task in ids and state == "RUNNING"}


def pod_of(container: str) -> str:
    """Return the name of a container's pod."""
    labels = json.loads(run([*CTR, "containers", "info", container]))["Labels"]
    return str(labels["io.kubernetes.pod.name"])
