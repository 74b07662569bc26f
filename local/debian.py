"""Debian's share of the machine: the packages that no Go module replaces."""

import shutil
from collections.abc import Iterable, Mapping

from local.errors import LocalError
from local.progress import step
from local.run import run

PACKAGES = {
    "runc": "the container runtime under containerd",
    "containernetworking-plugins": "bridge, host-local and loopback for the pods' network",
    "iptables": "what kube-proxy writes Services with",
    "conntrack": "kube-proxy forgets connections to ended pods by it",
    "iproute2": "makes the bridge",
    "mount": "the kubelet mounts the pods' volumes by it",
    "socat": "kubectl port-forward",
    "buildah": "builds images without a Docker daemon",
    "skopeo": "hands over built images layer by layer",
    "mmdebstrap": "makes the base image",
    "busybox-static": "the pods' sandbox image",
    "espeak-ng": "the voice of the offline agent, in its unit tests",
    "ca-certificates": "pip and npm in image builds",
}


def ensure_packages(packages: Mapping[str, str] = PACKAGES) -> None:
    """Install what is missing, as root. Raises LocalError when this is no Debian."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise LocalError(
            "this is no Debian (no dpkg, no apt-get): install kind and Docker, "
            "or CLUSTER=current to use the cluster of your kubeconfig"
        )
    if missing := missing_packages(installed(), packages):
        with step(f"installing Debian's {', '.join(missing)}"):
            quiet = {"DEBIAN_FRONTEND": "noninteractive"}
            run(["apt-get", "update", "-q"], env=quiet)
            run(["apt-get", "install", "-qy", "--no-install-recommends", *missing], env=quiet)


def installed() -> str:
    """Return dpkg's list, a line `package status` each."""
    return run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"])


def missing_packages(listing: str, packages: Iterable[str] = PACKAGES) -> list[str]:
    """Return those of the packages that the listing of `installed()` lacks, or has only half of."""
    present = {line.split()[0] for line in listing.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in present]
