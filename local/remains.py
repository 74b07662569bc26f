"""What is left of pods once kubelet and containerd have ended: processes, mounts, cgroups."""

import contextlib
import os
import signal
import time
from pathlib import Path

from local import daemon
from local.layout import STATE, cache
from local.node import CONTAINERD_SOCKET
from local.run import run


def clear() -> None:
    """End, unmount and remove it all."""
    _kill_containers()
    _unmount()
    _remove_cgroups()


def _kill_containers() -> None:
    """Kill all containers, and the shims that hold them."""
    shims = _shims()
    for pid in [child for shim in shims for child in _children(shim)] + shims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + daemon.KILL_SECONDS
    while any(daemon.started_at(pid) for pid in shims) and time.monotonic() < deadline:
        time.sleep(daemon.POLL_SECONDS)


def _unmount() -> None:
    """Unmount all that is mounted in the state directory and, by skopeo, in the cache."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    ours = [place for place in mounted if place.startswith((f"{STATE}/", f"{cache()}/"))]
    for place in reversed(ours):  # the latest first
        run(["umount", "--lazy", place])


def _remove_cgroups() -> None:
    """Remove the pods' control groups, inner ones first: each controller has its own in v1."""
    groups = Path("/sys/fs/cgroup")
    for top in [*groups.glob("kubepods"), *groups.glob("*/kubepods")]:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _shims() -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "containerd-shim-runc-v2" in command[0] and str(CONTAINERD_SOCKET) in command:
                found.append(int(process.name))
    return found


def _children(pid: int) -> list[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [
            int(child)
            for task in Path(f"/proc/{pid}/task").glob("*/children")
            for child in task.read_text().split()
        ]
    return []
