"""`make bench-takeover`: how long a call is without its agent, and whether the next one knows it.

Each call is interrupted while its agent speaks: its process is killed, its pod is deleted, or its
event loop stands still. What counts is the time from the fault until the caller hears the first
sound of the next agent: a track that is there and silent is none to a caller. A round makes one
call for each fault, in an order drawn anew, and each finds a quiet machine and a full pool.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.table import Table

from bench import command, figures
from bench.faults import HANGING_AGENT, Fault
from bench.figures import Summary, medians
from bench.interruption import Interruption, interrupt
from bench.operated import POOL, Platform, Warm
from bench.stage import Stage, installed, staged
from local import chart
from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import console

# Any will do, as long as it is the same.
_SEED = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """How the calls with one fault went; times in seconds."""

    failed: int
    heard: Summary
    """From the fault until the first sound of the next agent."""
    published: Summary
    """From the fault until its audio track was announced to the caller."""
    silence: Summary
    """From the last sound of the one before until the first of the next."""
    steps_p50: Mapping[str, float]
    """The median of each step since the fault, in the order in which they happen."""


def standing(calls: Sequence[Interruption]) -> Standing:
    """Sum up the calls with one fault; one that nobody took over is in no percentile."""
    return Standing(
        failed=sum(bool(call.failure) for call in calls),
        heard=Summary.of([call.heard for call in calls if call.heard is not None]),
        published=Summary.of([call.published for call in calls if call.published is not None]),
        silence=Summary.of([call.silence for call in calls if call.silence is not None]),
        steps_p50=medians([call.steps for call in calls]),
    )


def line(standings: Mapping[Fault, Standing], calls: Sequence[Interruption]) -> str:
    """Return all of it in one line."""
    kill, delete, hang = (
        standings[fault].heard for fault in (Fault.KILL, Fault.DELETE, Fault.HANG)
    )
    return (
        f"takeover: kill p50={kill.p50:.2f} p99={kill.p99:.2f} delete p50={delete.p50:.2f} "
        f"hang p50={hang.p50:.2f} context={sum(call.context for call in calls)}/{len(calls)} "
        f"doubled={sum(call.doubled for call in calls)}"
    )


def times_table(standings: Mapping[Fault, Standing]) -> Table:
    """Return the distributions."""
    table = Table(title="from the fault to the next agent's voice, in seconds")
    for column in ("", "n", "failed", "p50", "p90", "p99", "max", "track p50", "silence p50"):
        table.add_column(column, justify="right" if column else "left", max_width=8)
    for fault, found in standings.items():
        of = found.heard
        times = (of.p50, of.p90, of.p99, of.max, found.published.p50, found.silence.p50)
        table.add_row(fault, str(of.n), str(found.failed), *(f"{time:.2f}" for time in times))
    return table


async def bench(cluster: Cluster, rounds: int) -> None:
    """Make all calls, and report; if it is cut short, those that were made."""
    order = random.Random(_SEED)
    calls: list[Interruption] = []
    async with staged(cluster) as stage:
        platform = Platform(stage)
        way = await hanging(platform, stage)
        try:
            for number in range(rounds):
                for fault in order.sample(list(Fault), len(Fault)):
                    call = await interrupt(fault, number, platform, way)
                    tell(call)
                    calls.append(call)
        finally:
            if calls:
                report(calls)


async def hanging(platform: Platform, stage: Stage) -> Warm:
    """Set up a pool of agents that can be made to hang."""
    await HANGING_AGENT.install(stage.kube, stage.namespace)
    agent = {
        "name": "agent",
        "image": chart.AGENT_IMAGE,
        "resources": chart.AGENT_RESOURCES,
        **HANGING_AGENT.container,
    }
    template = {"spec": {"containers": [agent], "volumes": HANGING_AGENT.volumes}}
    prefix = platform.apply_agent("desk", pool=POOL, template=template)
    return Warm(platform, "takeover", "voicepod, taken over", "desk", prefix)


def tell(call: Interruption) -> None:
    """Say how a call went."""
    went = f"{call.heard:6.2f} s" if call.heard is not None else "       -"
    notes = [f"lost: {', '.join(call.lost)}"] if len(call.lost) > 1 else []
    notes += [f"{call.doubled} agents beside others"] if call.doubled else []
    notes += [call.failure] if call.failure else []
    busy = f"(machine {call.busy:.0%} busy before)"
    console.print(f"round {call.round + 1:<3} {call.fault:<7} {went}  {busy} {'; '.join(notes)}")


def report(calls: Sequence[Interruption]) -> None:
    """Print the tables and the line, and write the file."""
    standings = {
        fault: standing([call for call in calls if call.fault is fault]) for fault in Fault
    }
    console.print(times_table(standings))
    steps = {fault.value: found.steps_p50 for fault, found in standings.items()}
    console.print(figures.steps_table(steps, digits=2))
    path = figures.write(
        "takeover",
        {"unit": "seconds since the fault", "faults": standings, "samples": calls},
    )
    console.print(f"every call is in {path.relative_to(REPOSITORY)}")
    print(line(standings, calls))


def main(
    rounds: Annotated[
        int, typer.Option(min=1, envvar="N", help="How many calls with each fault.")
    ] = 20,
) -> None:
    """Measure the take-over."""
    command.run(lambda: bench(installed(), rounds))


if __name__ == "__main__":
    typer.run(main)
