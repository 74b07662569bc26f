"""What the cluster changes outside its own directory: noted before, put back after.

Kernel settings that its programs turn, and directories that they insist on by hard-coded paths.
"""

import contextlib
import json
import os
import shutil
from pathlib import Path

from local.errors import LocalError
from local.layout import STATE

NOTES = STATE / "machine.json"

SETTINGS = (
    # Ours: pods reach the world, and Services work between pods of one bridge.
    "net/ipv4/ip_forward",
    "net/bridge/bridge-nf-call-iptables",
    # The kubelet's.
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
DIRECTORIES = (
    "/var/lib/kubelet/device-plugins",
    "/var/log/containers",  # the kubelet's links to the containers' logs
    "/var/lib/cni/results",  # the CNI library's notes of its calls
    "/var/lib/containers/cache",  # skopeo's, whatever storage it is told to use
)


def require_root() -> None:
    """Raise LocalError unless this is root."""
    if os.geteuid() != 0:
        raise LocalError(
            "a cluster of one's own needs root (namespaces, mounts, iptables, routes): run this as "
            "root, or with CLUSTER=current to use the cluster of your kubeconfig"
        )


def note() -> None:
    """Write down, at the first `up`, what is to be put back."""
    if NOTES.exists():
        return
    settings = {name: _setting(name).read_text() for name in SETTINGS if _setting(name).exists()}
    absent = [path for path in DIRECTORIES if not Path(path).exists()]
    NOTES.write_text(json.dumps({"settings": settings, "absent": absent}))


def put_back() -> None:
    """Restore the settings, remove the directories that were not there before."""
    try:
        noted = json.loads(NOTES.read_text())
    except FileNotFoundError:
        return
    for name, value in noted["settings"].items():
        with contextlib.suppress(OSError):
            if _setting(name).read_text() != value:
                _setting(name).write_text(value)
    for path in noted["absent"]:
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            Path(path).parent.rmdir()  # where nothing else is in it


def turn_on(name: str) -> None:
    """Set a kernel setting to 1."""
    _setting(name).write_text("1")


def _setting(name: str) -> Path:
    return Path("/proc/sys") / name
