"""`make bench-join`: how long a caller waits for the agent, by every way to one.

The same agent code behind each way, on one machine, one caller at a time. A round makes one call by
each way, in an order drawn anew; what a call measures is the time from the caller's `connect()`
until the agent's audio track is announced to the caller. Between two calls all of the last one goes
away, and what the next one is promised (a full pool, an idle worker) is waited for.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated

import typer

from bench import bare, command, comparison, figures, servers
from bench.bare import Bare
from bench.calls import Sample, Way, measure
from bench.dispatched import Automatic, Explicit, Workers
from bench.operated import POOL, Cold, Platform, Token, Warm
from bench.stage import Stage, installed, staged
from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import console

WAYS = ("warm", "token", "livekit", "explicit", "cold", "floor")

# Rounds that don't count: the first call of a process, of a cache, of a connection is another one.
_WARM_UP = 2

# Any will do, as long as it is the same.
_SEED = 4


@asynccontextmanager
async def ways_to(stage: Stage, names: Sequence[str]) -> AsyncIterator[list[Way]]:
    """Set up the ways of these names; what they need runs while the body does."""
    async with AsyncExitStack() as stack:
        platform = Platform(stage)
        ways: list[Way] = []
        if {"warm", "token"} & set(names):
            prefix = platform.apply_agent("warm", pool=POOL)
            ways += [
                Warm(platform, "warm", "voicepod, warm, by webhook", "warm", prefix),
                Token(platform, "token", "voicepod, warm, by token endpoint", "warm", prefix),
            ]
        if {"livekit", "explicit"} & set(names):
            second = servers.beside(stage.logs, "second", servers.SECOND)
            workers = Workers(stage, await stack.enter_async_context(second))
            await workers.prepare()
            for dispatched in (Automatic(workers), Explicit(workers)):
                if dispatched.name in names:
                    await dispatched.start()
                    ways.append(dispatched)
        if "cold" in names:
            prefix = platform.apply_agent("cold")
            ways.append(Cold(platform, "cold", "voicepod, cold", "cold", prefix))
        if "floor" in names:
            third = servers.beside(stage.logs, "third", servers.THIRD, bare.WEBHOOK)
            floor = Bare(stage, await stack.enter_async_context(third))
            await stack.enter_async_context(floor.listening())
            ways.append(floor)
        yield [way for way in ways if way.name in names]


async def bench(cluster: Cluster, names: Sequence[str], calls: int) -> None:
    """Make all calls, and report those that count; if it is cut short, those that were made."""
    order = random.Random(_SEED)
    samples: list[Sample] = []
    async with staged(cluster) as stage, ways_to(stage, names) as ways:
        try:
            for number in range(-_WARM_UP, calls):
                for way in order.sample(ways, len(ways)):
                    sample = await measure(way, number, stage.rooms)
                    tell(sample)
                    if number >= 0:
                        samples.append(sample)
        finally:
            if samples:
                report(samples, ways)


def tell(sample: Sample) -> None:
    """Say how a call went."""
    number = f"round {sample.round + 1}" if sample.round >= 0 else "warm-up"
    went = f"{sample.published:6.0f} ms" if sample.published is not None else sample.failure
    console.print(f"{number:<9} {sample.way:<9} {went}  (machine {sample.busy:.0%} busy before)")


def report(samples: Sequence[Sample], ways: Sequence[Way]) -> None:
    """Print the tables and the line, and write the file."""
    standings = {way.name: comparison.standing(way, samples) for way in ways}
    console.print(comparison.ways_table(standings))
    steps = {name: found.steps_p50 for name, found in standings.items()}
    console.print(figures.steps_table(steps, digits=0))
    path = figures.write("join", comparison.as_figures(standings, samples))
    console.print(f"every call is in {path.relative_to(REPOSITORY)}")
    print(comparison.line(standings))


def main(
    calls: Annotated[int, typer.Option(min=1, envvar="N", help="How many by each way.")] = 40,
    ways: Annotated[
        str, typer.Option(envvar="WAYS", help="Which ones; the names, with spaces between.")
    ] = " ".join(WAYS),
) -> None:
    """Measure the join."""
    names = ways.split()
    if unknown := set(names) - set(WAYS):
        raise typer.BadParameter(f"{' '.join(unknown)}: the ways are {', '.join(WAYS)}")
    command.run(lambda: bench(installed("gateway.tokens.auth=anonymous"), names, calls))


if __name__ == "__main__":
    typer.run(main)
