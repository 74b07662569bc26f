"""`python -m tests.simulation`: many seeds; one of them with all that happens in it; or which of
them find the bugs of ``mutations``."""

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Final

import typer
from rich.console import Console

from tests.simulation.mutations import MUTATIONS, find
from tests.simulation.run import Result, run

# Runs after which a line tells how far it is: some ten seconds.
_REPORTED: Final = 250

# Runs that a process is given at once: some seconds' work.
_CHUNK: Final = 25

# Broken runs that are enough to look at.
_ENOUGH: Final = 20

console = Console(highlight=False, soft_wrap=True, markup=False)


def main(
    seeds: Annotated[int, typer.Option(help="How many seeds are run.")] = 1000,
    first: Annotated[int, typer.Option(help="The first of them.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Run this one, and show its trace.")] = None,
    bugs: Annotated[bool, typer.Option(help="Tell which seed finds each known bug.")] = False,
) -> None:
    """Simulate operator and gateways, each seed with faults of its own."""
    if seed is not None:
        result = run(seed, traced=True)
        console.print("\n".join(result.trace))
        sys.exit(bool(result.broken))
    if bugs:
        missed = sum(not _is_found(bug, range(first, first + seeds)) for bug in MUTATIONS)
        sys.exit(bool(missed))
    started = time.monotonic()
    with ProcessPoolExecutor() as processes:
        broken = _watch(processes.map(run, range(first, first + seeds), chunksize=_CHUNK), started)
        processes.shutdown(cancel_futures=True)
    console.print(
        f"simulation: seeds={seeds} broken={broken} seconds={time.monotonic() - started:.0f}"
    )
    sys.exit(bool(broken))


def _is_found(bug: str, seeds: range) -> bool:
    result = find(bug, seeds)
    by = f"seed {result.seed}: {result.broken}" if result else f"none of {len(seeds)} seeds"
    console.print(f"{bug} is found by {by}")
    return result is not None


def _watch(results: Iterable[Result], started: float) -> int:
    """Tell of each run that is broken, and now and then how far it is; return how many were."""
    broken = 0
    for number, result in enumerate(results, 1):
        if result.broken:
            broken += 1
            console.print(f"{result.broken}\n    make sim SEED={result.seed}")
            if broken == _ENOUGH:
                break
        if number % _REPORTED == 0:
            console.print(f"{number} seeds, {number / (time.monotonic() - started):.0f} a second")
    return broken


if __name__ == "__main__":
    typer.run(main)
