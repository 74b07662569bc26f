"""The programs of the cluster, built from the pinned Go modules of tools/ into the cache.

Each binary has its place by a hash of all that makes it (go.mod, go.sum, sources, flags) and
appears there whole: a build that was cut short goes on where it stopped, and a changed pin never
meets an old binary.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.layout import REPOSITORY, cache
from local.progress import console, step
from local.run import exclusive, run

# The first Go that fetches the toolchain named in a go.mod by itself.
OLDEST_GO = (1, 21)


KUBERNETES = "k8s.io/kubernetes/cmd"
CONTAINERD = "github.com/containerd/containerd/v2/cmd"

# Build tags by module; btrfs would need its C headers.
TAGS = {"containerd": "no_btrfs"}


@dataclass(frozen=True)
class Tool:
    """One program: the directory of tools/ that pins it, its package, the time of a cold build."""

    name: str
    module: str
    package: str
    seconds: int  # on two cores, after those before it, which compiled a good part of it


TOOLS = (
    Tool("kube-apiserver", "kubernetes", f"{KUBERNETES}/kube-apiserver", 440),
    Tool("kube-controller-manager", "kubernetes", f"{KUBERNETES}/kube-controller-manager", 114),
    Tool("kube-scheduler", "kubernetes", f"{KUBERNETES}/kube-scheduler", 13),
    Tool("kubelet", "kubernetes", f"{KUBERNETES}/kubelet", 40),
    Tool("kube-proxy", "kubernetes", f"{KUBERNETES}/kube-proxy", 30),
    Tool("kubectl", "kubernetes", f"{KUBERNETES}/kubectl", 30),
    Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", 37),
    Tool("containerd", "containerd", f"{CONTAINERD}/containerd", 85),
    Tool("containerd-shim-runc-v2", "containerd", f"{CONTAINERD}/containerd-shim-runc-v2", 5),
    Tool("ctr", "containerd", f"{CONTAINERD}/ctr", 5),
    Tool("coredns", "coredns", ".", 65),
    Tool("livekit-server", "livekit", "github.com/livekit/livekit-server/cmd/server", 162),
    Tool("helm", "helm", "helm.sh/helm/v3/cmd/helm", 200),
    Tool("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", 180),
    Tool("karpenter", "karpenter", "sigs.k8s.io/karpenter/kwok", 150),
)


def ensure_tools(bin_directory: Path, names: frozenset[str]) -> None:
    """Build what the cache lacks of the named programs, and link them into `bin_directory`.

    Raises LocalError when Go is missing, too old, or a build fails.
    """
    wanted = [tool for tool in TOOLS if tool.name in names]
    with exclusive(cache()):
        missing = [tool for tool in wanted if not _place(tool).exists()]
        if missing:
            _check_go()
            minutes = sum(tool.seconds for tool in missing) / 60
            console.print(
                f"building {len(missing)} of {len(wanted)} Go programs, once: some {minutes:.0f} "
                "minutes on two cores, less with more or with a warm Go build cache"
            )
        for number, tool in enumerate(missing, 1):
            with step(f"building {tool.name} ({number} of {len(missing)}, about {tool.seconds} s)"):
                _build(tool)
        bin_directory.mkdir(parents=True, exist_ok=True)
        for tool in wanted:
            link = bin_directory / tool.name
            if not link.is_symlink() or link.readlink() != _place(tool):
                link.unlink(missing_ok=True)
                link.symlink_to(_place(tool))


def sources(module: str, path: str) -> Path:
    """Return where the sources of a Go module are that `module` of tools/ pins; fetch them first.

    Raises LocalError when they cannot be had.
    """
    told = run(["go", "-C", REPOSITORY / "tools" / module, "mod", "download", "-json", path])
    return Path(json.loads(told)["Dir"])


def _directory(tool: Tool) -> Path:
    return REPOSITORY / "tools" / tool.module


def _flags(tool: Tool) -> list[str]:
    linker = "-s -w"
    if tool.module == "kubernetes":
        # Without these it calls itself version 0.0.0, which Helm's and clients' checks refuse.
        version = kubernetes_version((_directory(tool) / "go.mod").read_text())
        for name, value in version.items():
            linker += f" -X k8s.io/component-base/version.{name}={value}"
    if tool.module == "helm":
        # As Helm's own Makefile does: `helm template` takes this for the cluster's version.
        version = kubernetes_version((REPOSITORY / "tools/kubernetes/go.mod").read_text())
        for package in ("chartutil", "lint/rules"):
            for name, key in (("Major", "gitMajor"), ("Minor", "gitMinor")):
                linker += f" -X helm.sh/helm/v3/pkg/{package}.k8sVersion{name}={version[key]}"
    tags = TAGS.get(tool.module, "")
    return ["-trimpath", "-buildvcs=false", f"-tags={tags}", f"-ldflags={linker}"]


def kubernetes_version(go_mod: str) -> dict[str, str]:
    """Return the version of Kubernetes that a go.mod requires, as its linker variables want it."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise LocalError("tools/kubernetes/go.mod does not require k8s.io/kubernetes")
    return dict(zip(("gitVersion", "gitMajor", "gitMinor"), found.groups(), strict=True))


def _place(tool: Tool) -> Path:
    digest = hashlib.sha256(" ".join([tool.package, *_flags(tool)]).encode())
    for source in sorted(_directory(tool).glob("*")):
        digest.update(source.read_bytes())
    return cache() / "tools" / f"{tool.module}-{digest.hexdigest()[:12]}" / tool.name


def _build(tool: Tool) -> None:
    place = _place(tool)
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(".tmp")
    try:
        run(
            ["go", "build", "-C", _directory(tool), *_flags(tool), "-o", unfinished, tool.package],
            env={"CGO_ENABLED": "0"},
        )
    except LocalError as error:
        raise LocalError(f"{error}\nRun it again: it goes on with {tool.name}.") from error
    os.replace(unfinished, place)


def _check_go() -> None:
    wanted = ".".join(map(str, OLDEST_GO))
    hint = f"Go {wanted} or newer is needed to build the cluster's programs (https://go.dev/dl)"
    if shutil.which("go") is None:
        raise LocalError(f"go is not on the PATH. {hint}")
    said = run(["go", "version"])
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_GO:
        raise LocalError(f"{said.strip()} is too old. {hint}")
