"""Tables for people, the JSON file, and the one line."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from bench import figures
from bench.claim import processes, writes
from bench.claim.window import TALK_SECONDS, Cost, Window
from bench.figures import Summary
from local.scale import kwok
from local.scale.ledger import STEPS


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured."""

    idle: Cost
    windows: list[Window]
    judged: Window
    good_p99: float
    held: int
    """How many calls at once the operator's memory was measured with."""
    memory_mb: float
    """Of the operator then."""
    held_failures: list[str]


@dataclass(frozen=True, slots=True)
class PerSession:
    """What one session costs, whole life, its pod's refill included."""

    own: float
    """Writes of operator and gateway, and of whoever creates the session."""
    all: float
    """Writes of everybody but what the quiet cluster writes anyway."""
    audited: dict[str, float]
    """The writes by who, verb and resource."""
    cpu_ms: dict[str, float]
    idle_cpu_ms: dict[str, float]
    """What of `cpu_ms` the processes use without any session."""

    @property
    def counted_cpu_ms(self) -> float:
        """The CPU of operator, gateway, API server and etcd."""
        return sum(self.cpu_ms[name] for name in processes.COUNTED)

    @property
    def counted_idle_cpu_ms(self) -> float:
        """What of it they use without any session."""
        return sum(self.idle_cpu_ms[name] for name in processes.COUNTED)


def p99(window: Window) -> float:
    """Return the p99 of a window's times to the assignment, in seconds."""
    return Summary.of(window.verdict.assigned).p99


def per_session(window: Window, idle: Cost) -> PerSession:
    """Share a window's cost among its sessions."""
    sessions, cost = len(window.verdict.created), window.cost
    share = cost.seconds / idle.seconds
    written = {write: count / sessions for write, count in cost.written.items()}
    return PerSession(
        own=sum(count for write, count in written.items() if write.who in writes.OWN),
        all=(cost.counted - idle.counted * share) / sessions,
        audited={f"{w.who} {w.verb} {w.what}": count for w, count in written.items()},
        cpu_ms={name: 1000 * used / sessions for name, used in cost.cpu.items()},
        idle_cpu_ms={name: 1000 * used * share / sessions for name, used in idle.cpu.items()},
    )


def tell(results: Results) -> bool:
    """Print and write it all; returns whether every session went well."""
    console = Console(highlight=False, soft_wrap=True)
    costs = {window.rate: per_session(window, results.idle) for window in results.windows}
    least, most = kwok.REFILL_SECONDS
    console.print(
        f"{kwok.NODES} KWOK nodes; a pod is warm {least:g} to {most:g} s after it has its place; "
        f"calls of {TALK_SECONDS:g} s\n"
    )
    console.print(_latency(results))
    console.print(_steps(results.judged))
    console.print(_cost(costs))
    console.print(_writes(results))
    console.print(
        f"operator: {results.memory_mb:.0f} MB with {results.held} calls at the same time\n"
    )
    failures = [*results.held_failures]
    for window in results.windows:
        failures += window.verdict.failures
    for failure in failures[:20]:
        console.print(f"failed: {failure}", markup=False)
    path = figures.write("claim", _json(results, costs))
    console.print(f"all samples: {path}")
    judged, cost = Summary.of(results.judged.verdict.assigned), costs[results.judged.rate]
    console.print(
        f"claim: {results.judged.rate:g}/s p50={1000 * judged.p50:.0f} p99={1000 * judged.p99:.0f} "
        f"max-rate={_max_rate(results):g} writes-own={cost.own:.1f} writes-all={cost.all:.1f} "
        f"cpu={cost.counted_cpu_ms:.0f} failed={len(failures)}"
    )
    return not failures


def _max_rate(results: Results) -> float:
    good = [
        window.rate
        for window in results.windows
        if p99(window) < results.good_p99 and not window.verdict.failures
    ]
    return max(good, default=0)


def _latency(results: Results) -> Table:
    title = (
        "From create to assigned, ms (cold: found the pool empty; late: what the load generator "
        "adds at most; MB: the operator, afterwards)"
    )
    table = Table(title=title, title_justify="left")
    for column in ("rate", "n", "pool", "p50", "p90", "p99", "max", "cold", "late", "failed", "MB"):
        table.add_column(column, justify="right")
    for window in results.windows:
        verdict = window.verdict
        summary = Summary.of([1000 * seconds for seconds in verdict.assigned])
        table.add_row(
            f"{window.rate:g}",
            str(len(verdict.created)),
            str(window.pool),
            *(f"{value:.0f}" for value in (summary.p50, summary.p90, summary.p99, summary.max)),
            str(verdict.cold),
            f"{1000 * verdict.late:.0f}",
            str(len(verdict.failures)),
            f"{window.memory_mb:.0f}",
        )
    return table


def _steps(judged: Window) -> Table:
    title = f"From create to each step at {judged.rate:g} a second, by the sessions' status, ms"
    table = Table(title=title, title_justify="left")
    for column in ("step", "p50", "p90", "p99", "max"):
        table.add_column(column, justify="left" if column == "step" else "right")
    rows = {"create answered": judged.verdict.created}
    rows |= {step: judged.verdict.steps[step] for step in STEPS}
    for name, seconds in rows.items():
        one = Summary.of([1000 * value for value in seconds])
        table.add_row(name, *(f"{value:.0f}" for value in (one.p50, one.p90, one.p99, one.max)))
    return table


def _cost(costs: Mapping[float, PerSession]) -> Table:
    table = Table(title="What a session costs: writes, and CPU in ms", title_justify="left")
    table.add_column("a second")
    for rate in costs:
        table.add_column(f"{rate:g}", justify="right")

    rows: dict[str, list[str]] = {
        "own writes": [f"{cost.own:.1f}" for cost in costs.values()],
        "all writes": [f"{cost.all:.1f}" for cost in costs.values()],
        "CPU": [f"{cost.counted_cpu_ms:.0f}" for cost in costs.values()],
        "  of it in a quiet cluster": [
            f"{cost.counted_idle_cpu_ms:.0f}" for cost in costs.values()
        ],
    }
    for name in (*processes.COUNTED, *processes.SHOWN):
        shown = f"  {name}" if name in processes.COUNTED else f"not in it: {name}"
        rows[shown] = [f"{cost.cpu_ms[name]:.0f}" for cost in costs.values()]
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def _writes(results: Results) -> Table:
    judged, idle = results.judged.cost, results.idle
    quiet = idle.counted / idle.seconds
    title = (
        f"Writes a session at {results.judged.rate:g} a second "
        f"(the counters: {judged.counted}, the audit log: {judged.written.total()}; "
        f"the quiet cluster: {quiet:.1f} a second)"
    )
    table = Table(title=title, title_justify="left")
    for column in ("who", "write", "a session"):
        table.add_column(column, justify="right" if column == "a session" else "left")
    sessions = len(results.judged.verdict.created)
    by_who = Counter[str]()
    for write, count in judged.written.items():
        by_who[write.who] += count
    ordered = sorted(judged.written.items(), key=lambda item: (-by_who[item[0].who], -item[1]))
    for write, count in ordered:
        table.add_row(write.who, f"{write.verb} {write.what}", f"{count / sessions:.2f}")
    return table


def _json(results: Results, costs: Mapping[float, PerSession]) -> dict[str, object]:
    return {
        "good_p99_seconds": results.good_p99,
        "max_rate": _max_rate(results),
        "idle": {"seconds": results.idle.seconds, "counted": results.idle.counted}
        | {"cpu_seconds": results.idle.cpu},
        "operator_memory": {"calls": results.held, "rss_mb": results.memory_mb},
        "held_failures": results.held_failures,
        "rates": [
            {
                "rate": window.rate,
                "pool": window.pool,
                "assigned_seconds": Summary.of(window.verdict.assigned),
                "operator_rss_mb": window.memory_mb,
                "per_session": asdict(costs[window.rate]),
                "verdict": asdict(window.verdict),
            }
            for window in results.windows
        ],
    }
