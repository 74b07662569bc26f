"""What the processes cost: CPU by the kernel's accounts, and memory."""

import os
from pathlib import Path

from local.errors import LocalError
from local.scale.site import PLANE, SIDECARS

COUNTED = ("operator", "gateway", "kube-apiserver", "etcd")
"""What a cluster pays for a session, beside its pod."""

SHOWN = (
    "kube-scheduler",
    "kube-controller-manager",
    "kwok",
    "livekit-server",
    SIDECARS,
)
"""What another cluster pays otherwise: kubelets, LiveKit, the pods themselves."""

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds() -> dict[str, float]:
    """Return what each process has used since its start, its threads included."""
    return {name: _cpu(_pid(name)) for name in (*COUNTED, *SHOWN)}


def memory_mb(name: str) -> float:
    """Return a process's resident memory in MB."""
    return _status_mb(name, "VmRSS:")


def peak_mb(name: str) -> float:
    """Return the most resident memory that a process has had, in MB."""
    return _status_mb(name, "VmHWM:")


def _status_mb(name: str, field: str) -> float:
    status = Path(f"/proc/{_pid(name)}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1_000_000


def _pid(name: str) -> int:
    pid = PLANE.daemons.pid(name)
    if pid is None:
        raise LocalError(f"{name} died.{PLANE.daemons.end_of_log(name)}")
    return pid


def _cpu(pid: int) -> float:
    # The fields after the parenthesised name, which itself may hold spaces and parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
