"""etcd, the API server, the controller manager and the scheduler, as processes of the host."""

from local import certs, daemon
from local.certs import certificate, kubeconfig, private_key
from local.layout import (
    API_SERVICE_IP,
    BRIDGE_IP,
    KUBECONFIG,
    SERVICE_NETWORK,
    STATE,
)
from local.run import succeeds

# Beside the usual 2379 and 2380: the machine may have an etcd of its own.
ETCD = "https://127.0.0.1:12379"
ETCD_PEER = "http://127.0.0.1:12380"

KUBECTL = ("kubectl", f"--kubeconfig={KUBECONFIG}")

# Twenty times what it takes on two quiet cores.
READY_SECONDS = 100.0


def credentials() -> None:
    """Make the authority, everyone's certificates, and the kubeconfig files."""
    certs.issue("ca", "voicepod-local")
    certs.issue("etcd", addresses=("127.0.0.1",))
    api_names = ("kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
    certs.issue(
        "apiserver", "kubernetes", "system:masters", (BRIDGE_IP, API_SERVICE_IP, *api_names)
    )
    certs.issue("service-accounts")
    certs.issue("admin", "admin", "system:masters")
    kubeconfig("admin", KUBECONFIG)
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
        certs.issue(name, f"system:{name}")
        kubeconfig(name, STATE / f"{name}.kubeconfig")


def start() -> None:
    """Start what does not run, and wait until the API server is ready."""
    daemon.start(
        "etcd",
        f"--data-dir={STATE / 'etcd'}",
        f"--listen-client-urls={ETCD}",
        f"--advertise-client-urls={ETCD}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=default={ETCD_PEER}",
        f"--cert-file={certificate('etcd')}",
        f"--key-file={private_key('etcd')}",
        f"--trusted-ca-file={certificate('ca')}",
        "--client-cert-auth",
        # Each write would wait for the disk; all that a crash of the machine may cost is a
        # demo's state.
        "--unsafe-no-fsync",
    )
    signing_key = private_key("service-accounts")
    daemon.start(
        "kube-apiserver",
        f"--etcd-servers={ETCD}",
        f"--etcd-cafile={certificate('ca')}",
        f"--etcd-certfile={certificate('apiserver')}",
        f"--etcd-keyfile={private_key('apiserver')}",
        # Nowhere but on the bridge: for pods (by the `kubernetes` Service) and the host alike.
        f"--bind-address={BRIDGE_IP}",
        f"--advertise-address={BRIDGE_IP}",
        "--secure-port=6443",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={certificate('ca')}",
        f"--tls-cert-file={certificate('apiserver')}",
        f"--tls-private-key-file={private_key('apiserver')}",
        f"--kubelet-client-certificate={certificate('apiserver')}",
        f"--kubelet-client-key={private_key('apiserver')}",
        # The node's name resolves nowhere: without this no `kubectl logs`, no `exec`.
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-signing-key-file={signing_key}",
        f"--service-account-key-file={certificate('service-accounts')}",
    )
    daemon.wait(
        "starting the API server",
        lambda: succeeds([*KUBECTL, "get", "--raw=/readyz"]),
        needs=("etcd", "kube-apiserver"),
        seconds=READY_SECONDS,
    )
    # One of each: no leader to elect. Nobody asks for their metrics: no port.
    common = ("--leader-elect=false", "--secure-port=0")
    daemon.start(
        "kube-controller-manager",
        f"--kubeconfig={STATE / 'kube-controller-manager.kubeconfig'}",
        "--use-service-account-credentials",
        # At its usual 20 requests a second it takes 5 s to start.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--service-account-private-key-file={signing_key}",
        f"--root-ca-file={certificate('ca')}",
        f"--cluster-signing-cert-file={certificate('ca')}",
        f"--cluster-signing-key-file={private_key('ca')}",
        *common,
    )
    daemon.start(
        "kube-scheduler",
        f"--kubeconfig={STATE / 'kube-scheduler.kubeconfig'}",
        *common,
    )
