"""Tables for people, the JSON file, and the one line."""

from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from bench import figures
from bench.figures import Summary
from bench.scale.churn import Window
from bench.scale.watched import CatchUp


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured."""

    rate: float
    """Sessions a second that came and went."""
    reference: Window
    scaled: Window
    start: CatchUp
    """Of the operator that found the calls there."""
    lost: list[str]
    """Calls that should have stayed, and did not."""
    unplanned: int
    """How often the operator ended by itself."""
    nodes: int

    @property
    def failures(self) -> list[str]:
        """Whatever went wrong."""
        windows = (self.reference, self.scaled)
        verdicts = [verdict for one in windows for verdict in (one.verdict, one.meanwhile)]
        return [*self.lost, *(failure for one in verdicts for failure in one.failures)]


def line(results: Results) -> str:
    """Return all of it in one line."""
    few = Summary.of(results.reference.verdict.assigned)
    many = Summary.of(results.scaled.verdict.assigned)
    restart = results.scaled.restart
    assert restart is not None
    return (
        f"scale: sessions={results.scaled.beside} p50={1000 * many.p50:.0f} "
        f"p99={1000 * many.p99:.0f} vs100={many.p99 / few.p99:.2f} "
        f"rss={results.scaled.rss_mb:.0f} catchup={restart.caught_up:.1f} "
        f"lost={len(results.failures)}"
    )


def tell(results: Results) -> bool:
    """Print and write it all; returns whether every session went well."""
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{results.nodes} KWOK nodes; {results.rate:g} sessions a second come and go\n")
    console.print(_latency(results))
    console.print(_catch_ups(results))
    if results.unplanned:
        console.print(f"the operator ended by itself {results.unplanned} times")
    for failure in results.failures[:20]:
        console.print(f"failed: {failure}", markup=False)
    path = figures.write("scale", _json(results))
    console.print(f"all samples: {path}")
    console.print(line(results))
    return not results.failures


def _latency(results: Results) -> Table:
    title = (
        "From create to assigned, ms, while an operator led (cold: found the pool empty; late: "
        "what the load generator adds at most; CPU: the operator, % of a core; MB: its most)"
    )
    table = Table(title=title, title_justify="left")
    for column in ("beside", "n", "p50", "p90", "p99", "max", "cold", "late", "failed"):
        table.add_column(column, justify="right")
    table.add_column("CPU", justify="right")
    table.add_column("MB", justify="right")
    for window in (results.reference, results.scaled):
        verdict = window.verdict
        of = Summary.of([1000 * seconds for seconds in verdict.assigned])
        table.add_row(
            str(window.beside),
            str(of.n),
            *(f"{value:.0f}" for value in (of.p50, of.p90, of.p99, of.max)),
            str(verdict.cold),
            f"{1000 * verdict.late:.0f}",
            str(len(verdict.failures)),
            f"{100 * window.cpu:.0f}",
            f"{window.rss_mb:.0f}",
        )
    return table


def _catch_ups(results: Results) -> Table:
    title = f"An operator begins, beside {results.scaled.beside} calls, s"
    table = Table(title=title, title_justify="left")
    for column in ("", "leads", "caught up", "came meanwhile", "waited at most"):
        table.add_column(column, justify="right" if column else "left")
    assert results.scaled.restart is not None
    meanwhile = Summary.of(results.scaled.meanwhile.assigned)
    for name, one, more in (
        ("it was off", results.start, ("", "")),
        ("it was killed", results.scaled.restart, (str(meanwhile.n), f"{meanwhile.max:.1f}")),
    ):
        times = (one.leads, one.caught_up)
        table.add_row(name, *(f"{seconds:.1f}" for seconds in times), *more)
    return table


def _json(results: Results) -> dict[str, object]:
    return {
        "rate": results.rate,
        "nodes": results.nodes,
        "start": results.start,
        "unplanned_restarts": results.unplanned,
        "lost": results.lost,
        "windows": [
            {
                "assigned_seconds": Summary.of(window.verdict.assigned),
                "meanwhile_seconds": Summary.of(window.meanwhile.assigned),
                **asdict(window),
            }
            for window in (results.reference, results.scaled)
        ],
    }
