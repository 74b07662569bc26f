"""The ways to an agent side by side: tables for whoever looks on, figures for the file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from bench.calls import TOKEN_ASKED, Sample, Way
from bench.figures import Summary, medians


@dataclass(frozen=True, slots=True)
class Standing:
    """How the calls of one way went."""

    what: str
    failed: int
    published: Summary
    """Milliseconds from the caller's ``connect()`` to the news of the agent's audio track."""
    from_token: Summary
    """The same from when its token was asked for, which only the token endpoint makes longer."""
    steps_p50: Mapping[str, float]
    """The median of each step since ``connect()``, in the order in which they happen."""


def standing(way: Way, samples: Sequence[Sample]) -> Standing:
    """Sum up a way's calls; one without an agent counts as failed, and in no percentile."""
    ours = [sample for sample in samples if sample.way == way.name]
    went = [(each.published, each.steps) for each in ours if each.published is not None]
    return Standing(
        what=way.what,
        failed=len(ours) - len(went),
        published=Summary.of([published for published, _ in went]),
        from_token=Summary.of([published - steps[TOKEN_ASKED] for published, steps in went]),
        steps_p50=medians([steps for _, steps in went]),
    )


def ways_table(standings: Mapping[str, Standing]) -> Table:
    """Return the distributions."""
    table = Table(title="from connect() to the agent's audio track, in milliseconds")
    table.add_column("way")
    table.add_column("", max_width=30)
    for column in ("n", "failed", "p50", "p90", "p99", "max", "from token p50"):
        table.add_column(column, justify="right", max_width=6)
    for name, found in standings.items():
        of = found.published
        times = (of.p50, of.p90, of.p99, of.max, found.from_token.p50)
        shown = (f"{time:.0f}" for time in times)
        table.add_row(name, found.what, str(of.n), str(found.failed), *shown)
    return table


def line(standings: Mapping[str, Standing]) -> str:
    """Return how the ways compare in one line; NaN where one was not taken."""
    nothing = Summary.of([])
    warm, token, livekit, floor = (
        standings[name].published if name in standings else nothing
        for name in ("warm", "token", "livekit", "floor")
    )
    return (
        f"join: warm/livekit p50={warm.p50 / livekit.p50:.2f} p99={warm.p99 / livekit.p99:.2f} "
        f"warm/floor p50={warm.p50 / floor.p50:.2f} "
        f"token/livekit p50={token.p50 / livekit.p50:.2f} "
        f"n={min(found.published.n for found in standings.values())}"
    )


def as_figures(standings: Mapping[str, Standing], samples: Sequence[Sample]) -> dict[str, Any]:
    """Return all of it, every single call included."""
    return {
        "unit": "milliseconds since the caller's connect()",
        "ways": standings,
        "samples": samples,
    }
