"""etcd, the API server, the controller manager and the scheduler, as processes of the host."""

from dataclasses import dataclass
from pathlib import Path

from local.certs import Authority
from local.daemon import Daemons
from local.layout import API_SERVICE_IP, BRIDGE_IP, SERVICE_NETWORK, STATE
from local.run import run, succeeds

# Twenty times what it takes on two quiet cores.
READY_SECONDS = 100.0


@dataclass(frozen=True)
class ControlPlane:
    """A control plane: where it keeps its state, and where it listens.

    `address` is the API server's, which also goes by `names`. etcd is on a socket that nobody but
    its user may use, and on the loopback's `peer_port` for the peers that it has not. `options` are
    the API server's own, on top of those that every one of them has.
    """

    state: Path
    address: str
    names: tuple[str, ...]
    port: int
    peer_port: int
    options: tuple[str, ...]

    @property
    def daemons(self) -> Daemons:
        """Its processes, and those that run beside it."""
        return Daemons(self.state)

    @property
    def authority(self) -> Authority:
        """Who signs all of its certificates."""
        return Authority(self.state / "pki")

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.state / "bin"

    @property
    def kubeconfig(self) -> Path:
        """The kubeconfig file of its administrator."""
        return self.state / "kubeconfig"

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The beginning of a command line that asks the API server."""
        return str(self.bin / "kubectl"), f"--kubeconfig={self.kubeconfig}"

    def kubeconfig_of(self, name: str) -> Path:
        """Return the path of the kubeconfig file of a component."""
        return self.state / f"{name}.kubeconfig"

    def admit(self, name: str, user: str, group: str = "") -> None:
        """Make a component's certificate, for `user` of `group`, and its kubeconfig file."""
        self.authority.issue(name, user, group)
        self.authority.kubeconfig(self.kubeconfig_of(name), self.url, name)

    def admit_account(self, name: str, namespace: str) -> None:
        """Make a kubeconfig file for a service account of the running cluster, by a day's token."""
        command = [*self.kubectl, "create", "token", name, "--duration=24h"]
        token = run([*command, f"--namespace={namespace}"]).strip()
        self.authority.kubeconfig(self.kubeconfig_of(name), self.url, name, token)

    @property
    def url(self) -> str:
        """Where the API server answers."""
        return f"https://{self.address}:{self.port}"

    @property
    def _etcd(self) -> str:
        return f"unix://{self.state / 'etcd.sock'}"

    def credentials(self) -> None:
        """Make the authority, everyone's certificates, and the kubeconfig files."""
        authority = self.authority
        authority.issue("ca", "voicepod-local")
        addresses = (self.address, *self.names)
        authority.issue("apiserver", "kubernetes", "system:masters", addresses)
        authority.issue("service-accounts")
        authority.issue("admin", "admin", "system:masters")
        authority.kubeconfig(self.kubeconfig, self.url, "admin")
        for name in ("kube-controller-manager", "kube-scheduler"):
            self.admit(name, f"system:{name}")

    def start(self) -> None:
        """Start what does not run, and wait until the API server is ready."""
        self._start_etcd()
        self._start_api_server()
        # One of each: no leader to elect. Nobody asks for their metrics: no port.
        common = ("--leader-elect=false", "--secure-port=0")
        authority = self.authority
        self.daemons.start(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig_of('kube-controller-manager')}",
            "--use-service-account-credentials",
            # At its usual 20 requests a second it takes 5 s to start.
            "--kube-api-qps=200",
            "--kube-api-burst=400",
            f"--service-account-private-key-file={authority.private_key('service-accounts')}",
            f"--root-ca-file={authority.certificate('ca')}",
            f"--cluster-signing-cert-file={authority.certificate('ca')}",
            f"--cluster-signing-key-file={authority.private_key('ca')}",
            *common,
        )
        self.daemons.start(
            "kube-scheduler",
            f"--kubeconfig={self.kubeconfig_of('kube-scheduler')}",
            *common,
        )

    def _start_etcd(self) -> None:
        peer = f"http://127.0.0.1:{self.peer_port}"
        self.daemons.start(
            "etcd",
            f"--data-dir={self.state / 'etcd'}",
            f"--listen-client-urls={self._etcd}",
            f"--advertise-client-urls={self._etcd}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            # Each write would wait for the disk; all that a crash of the machine may cost is a
            # demo's state.
            "--unsafe-no-fsync",
        )

    def _start_api_server(self) -> None:
        authority = self.authority
        certificate, key = authority.certificate("apiserver"), authority.private_key("apiserver")
        self.daemons.start(
            "kube-apiserver",
            f"--etcd-servers={self._etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--client-ca-file={authority.certificate('ca')}",
            f"--tls-cert-file={certificate}",
            f"--tls-private-key-file={key}",
            f"--kubelet-client-certificate={certificate}",
            f"--kubelet-client-key={key}",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-signing-key-file={authority.private_key('service-accounts')}",
            f"--service-account-key-file={authority.certificate('service-accounts')}",
            *self.options,
        )
        self.daemons.wait(
            "starting the API server",
            lambda: succeeds([*self.kubectl, "get", "--raw=/readyz"]),
            needs=("etcd", "kube-apiserver"),
            seconds=READY_SECONDS,
        )


CLUSTER = ControlPlane(
    state=STATE,
    # Nowhere but on the bridge: for pods (by the `kubernetes` Service) and the host alike.
    address=BRIDGE_IP,
    names=(API_SERVICE_IP, "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
    port=6443,
    # Not the usual 2380: the machine may have an etcd of its own.
    peer_port=12380,
    options=(
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        # The node's name resolves nowhere: without this no `kubectl logs`, no `exec`.
        "--kubelet-preferred-address-types=InternalIP",
    ),
)
"""The local cluster's."""
