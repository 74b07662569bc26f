"""What every bench hands on: distributions in one shape, and a JSON file that says where."""

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.table import Table

from local.errors import LocalError
from local.layout import REPOSITORY
from local.run import run

OUT = REPOSITORY / "out/bench"

# What takes part in a bench and comes from a go.mod of tools/, each with its module.
_GO_MODULES = {
    "kubernetes": "k8s.io/kubernetes",
    "livekit": "github.com/livekit/livekit-server",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kwok": "sigs.k8s.io/kwok",
    "karpenter": "sigs.k8s.io/karpenter",
}
_PACKAGES = ("livekit-agents", "livekit", "aiohttp", "kopf")


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile, interpolated between its neighbours; NaN of no values."""
    return float(np.percentile(values, percent)) if values else float("nan")


@dataclass(frozen=True, slots=True)
class Summary:
    """A distribution in five figures, in the unit of its values."""

    n: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Sum up some values; of none, all figures but ``n`` are NaN."""
        figures = (percentile(values, percent) for percent in (50, 90, 99, 100))
        return cls(len(values), *figures)


def medians(calls: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the median of each step, in the order in which they happen."""
    times: dict[str, list[float]] = {}
    for steps in calls:
        for step, at in steps.items():
            times.setdefault(step, []).append(at)
    found = {step: percentile(each, 50) for step, each in times.items()}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def steps_table(columns: Mapping[str, Mapping[str, float]], digits: int) -> Table:
    """Return the medians of each step side by side, in the order of the first column with them."""
    table = Table(title="its steps, p50")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    for step in dict.fromkeys(step for column in columns.values() for step in column):
        shown = (f"{each[step]:.{digits}f}" if step in each else "" for each in columns.values())
        table.add_row(step, *shown)
    return table


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write ``out/bench/NAME.json``: the figures, under what they were measured on.

    A dataclass in them, such as a Summary, becomes an object, and a number that is none (NaN) null.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    content = _plain({"bench": name, "machine": machine(), **figures})
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")
    return path


def read(name: str) -> dict[str, Any]:
    """Return what is in ``out/bench/NAME.json``.

    Raises LocalError when that bench was not run.
    """
    path = OUT / f"{name}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        raise LocalError(f"{path} is not there: run `make bench-{name}` first") from None
    return content


def machine() -> dict[str, Any]:
    """Return what one must know of a machine to compare figures, and nothing that names it."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpus": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1_000_000,
        "load": os.getloadavg(),
        "kernel": platform.release(),
        "versions": {
            "python": platform.python_version(),
            **{name: _go_version(name, module) for name, module in _GO_MODULES.items()},
            **{package: version(package) for package in _PACKAGES},
        },
    }


def _commit() -> str:
    """Return the checkout's commit, marked when the files are not what was committed."""
    head = run(["git", "-C", REPOSITORY, "rev-parse", "HEAD"]).strip()
    changed = run(["git", "-C", REPOSITORY, "status", "--porcelain"]).strip()
    return f"{head}, changed" if changed else head


def _go_version(tool: str, module: str) -> str:
    go_mod = (REPOSITORY / "tools" / tool / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(module)} (v\S+)", go_mod, re.MULTILINE)
    assert found, f"tools/{tool}/go.mod does not require {module}"
    return found[1]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and value != value else value
