"""`make chaos`: MINUTES=10 SEED=1 WEBHOOKS=1; what it does and counts is told by the package."""

import logging
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from bench import command, figures
from local.layout import REPOSITORY
from local.progress import console
from tests.chaos.run import OUT, Record, run


def main(
    minutes: Annotated[float, typer.Option(min=0.5, envvar="MINUTES", help="How long.")] = 10,
    seed: Annotated[int, typer.Option(envvar="SEED", help="What chance begins with.")] = 1,
    webhooks: Annotated[
        bool, typer.Option(envvar="WEBHOOKS", help="Disturb the webhooks as well.")
    ] = False,
) -> None:
    """Kill parts of a cluster with live calls, and count who came to harm."""
    # The callers' SDK tells at length of each server that is away.
    logging.getLogger("livekit").setLevel(logging.CRITICAL)
    record = command.run(lambda: run(minutes * 60, seed, webhooks))
    report(record, minutes, seed, "chaos-webhooks" if webhooks else "chaos")
    sys.exit(not record.verdict.good)


def report(record: Record, minutes: float, seed: int, name: str) -> None:
    """Say what happened, write the file, and print the line."""
    strikes = ", ".join(f"{what} {count}" for what, count in sorted(record.strikes.items()))
    console.print(f"killed: {strikes}")
    for call in record.calls:
        if call.is_lost(record.outages) or call.is_doubled():
            heard = [(round(v.start - record.began, 1), v.agent) for v in call.voices]
            console.print(f"{call.room}: {heard}, put out: {call.put_out or 'no'}", markup=False)
    for leaked in record.left:
        console.print(f"left: {leaked}")
    path = figures.write(
        name,
        {
            "minutes": minutes,
            "seed": seed,
            **asdict(record.verdict),
            "gaps": figures.Summary.of([call.longest_gap() for call in record.calls]),
            "strikes": record.strikes,
            "webhooks": record.webhooks,
            "outages": record.outages.spans,
            "left": record.left,
            "log": record.log,
            "calls_made": [asdict(call) for call in record.calls],
        },
    )
    console.print(f"every call is in {path.relative_to(REPOSITORY)}")
    if not record.verdict.good:
        console.print(f"what the cluster said is in {OUT.relative_to(REPOSITORY)}")
    print(record.verdict.line())


if __name__ == "__main__":
    typer.run(main)
