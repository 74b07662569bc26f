"""What the processes of a pod use, as the kernel counts it."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from local.errors import LocalError

_TICKS = os.sysconf("SC_CLK_TCK")
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """In MB, of 10^6 bytes. Pages that processes share count for each by its part of them."""

    anon: float
    """What is not a file's: the cost of one more of the kind."""
    pss: float
    """All that is resident. The same library in many pods is in memory once."""

    @classmethod
    def of(cls, pids: Iterable[int]) -> Self:
        """Sum up some processes; one that ends meanwhile uses none."""
        rollups = [_read(pid, "smaps_rollup") for pid in pids]
        return cls(*(sum(_kilobytes(r, what) for r in rollups) * 1024 / _MB for what in _FIELDS))

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.anon - other.anon, self.pss - other.pss)


_FIELDS = ("Pss_Anon", "Pss")


def processes(pod: dict[str, Any]) -> dict[str, list[int]]:
    """Return the pids of a pod's containers, by name; the sandbox is one named ``sandbox``."""
    statuses = pod["status"]
    named = {
        status["containerID"].rpartition("/")[2]: status["name"]
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in statuses.get(kind, [])
    }
    found: dict[str, list[int]] = {}
    for directory in Path("/proc").glob("[0-9]*"):
        cgroup = _read(int(directory.name), "cgroup")
        if pod["metadata"]["uid"] in cgroup:
            name = next((name for key, name in named.items() if key in cgroup), "sandbox")
            found.setdefault(name, []).append(int(directory.name))
    return found


def first_process(pids: Iterable[int]) -> int:
    """Return which of a container's processes it was started for. Raises LocalError if it ended."""
    for pid in pids:
        # By its pid in the innermost of its namespaces, which is the container's own.
        if re.search(r"^NSpid:.*\t1$", _read(pid, "status"), re.MULTILINE):
            return pid
    raise LocalError("the container's first process has ended")


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the CPU time that processes have used up to now, in user and kernel."""
    total = 0
    for pid in pids:
        # The fields after the parenthesised name, which itself may hold spaces.
        fields = _read(pid, "stat").rpartition(")")[2].split()
        total += sum(map(int, fields[11:13]))
    return total / _TICKS


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kilobytes(rollup: str, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) if found else 0
