"""`make bench-join`: how long a caller waits for the agent, by every way to one.

The same agent code behind each way, on one machine, one caller at a time. A round makes one call by
each way, in an order drawn anew; what a call measures is the time from the caller's `connect()`
until the agent's audio track is announced to the caller. Between two calls all of the last one goes
away, and what the next one is promised (a full pool, an idle worker) is waited for.
"""

import asyncio
import random
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

import local
from bench import bare, figures, servers
from bench.bare import Bare
from bench.calls import Sample, Way, measure
from bench.dispatched import Automatic, Explicit, Workers
from bench.figures import Summary, percentile
from bench.operated import POOL, Cold, Platform, Token, Warm
from local import chart
from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import console
from voicepod.assignment.client import PodClient, pod_session
from voicepod.kube import client
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.signing_key import load_signer

WAYS = ("warm", "token", "livekit", "explicit", "cold", "floor")

# Rounds that don't count: the first call of a process, of a cache, of a connection is another one.
_WARM_UP = 2

# Any will do, as long as it is the same.
_SEED = 4


@asynccontextmanager
async def prepared(cluster: Cluster, names: Sequence[str]) -> AsyncIterator[list[Way]]:
    """Set up the ways of these names, and take them down again."""
    namespace = f"bench-{secrets.token_hex(3)}"
    server = servers.of(cluster)
    chart.make_namespace(cluster, namespace)
    try:
        async with AsyncExitStack() as stack:
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-join-")))
            kube = await stack.enter_async_context(client.connect(cluster.kubeconfig))
            http = await stack.enter_async_context(client_session())
            signer = await load_signer(kube, chart.NAMESPACE, "voicepod-signing-key")
            pods = PodClient(await stack.enter_async_context(pod_session()), signer)
            platform = Platform(cluster, kube, pods, namespace, server)
            ways: list[Way] = []
            if {"warm", "token"} & set(names):
                prefix = platform.apply_agent("warm", pool=POOL)
                ways += [
                    Warm(platform, "warm", "voicepod, warm, by webhook", "warm", prefix),
                    Token(platform, "token", "voicepod, token endpoint", "warm", prefix, http=http),
                ]
            if "cold" in names:
                prefix = platform.apply_agent("cold")
                ways.append(Cold(platform, "cold", "voicepod, cold", "cold", prefix))
            if {"livekit", "explicit"} & set(names):
                second = await stack.enter_async_context(
                    servers.beside(logs, "second", servers.SECOND)
                )
                workers = Workers(kube, http, namespace, second)
                await workers.prepare()
                for dispatched in (Automatic(workers), Explicit(workers)):
                    if dispatched.name in names:
                        await dispatched.start()
                        ways.append(dispatched)
            if "floor" in names:
                third = await stack.enter_async_context(
                    servers.beside(logs, "third", servers.THIRD, bare.WEBHOOK)
                )
                floor = Bare(third, pods, signer, logs)
                await stack.enter_async_context(floor.listening())
                ways.append(floor)
            yield [way for way in ways if way.name in names]
    finally:
        chart.kubectl(cluster, "delete", "namespace", namespace, "--wait=false")


async def bench(cluster: Cluster, names: Sequence[str], calls: int) -> None:
    """Make all calls, and report those that count."""
    order = random.Random(_SEED)
    samples: list[Sample] = []
    async with prepared(cluster, names) as ways, client_session() as http:
        for number in range(-_WARM_UP, calls):
            for way in order.sample(ways, len(ways)):
                sample = await measure(way, number, lambda server: Rooms(http, server.credentials))
                tell(sample)
                if number >= 0:
                    samples.append(sample)
    report(samples, ways)


def tell(sample: Sample) -> None:
    """Say how a call went."""
    number = f"round {sample.round + 1}" if sample.round >= 0 else "warm-up"
    went = f"{sample.published:6.0f} ms" if sample.published is not None else sample.failure
    console.print(f"{number:<9} {sample.way:<9} {went}  (machine {sample.busy:.0%} busy before)")


def report(samples: Sequence[Sample], ways: Sequence[Way]) -> None:
    """Print the tables and the line, and write the file."""
    summaries = {way.name: summed_up(samples, way.name) for way in ways}
    failed = {
        way.name: sum(bool(each.failure) for each in samples if each.way == way.name)
        for way in ways
    }
    table = Table(title="from connect() to the agent's audio track, in milliseconds")
    for column in ("way", "", "n", "failed", "p50", "p90", "p99", "max"):
        table.add_column(column, justify="left" if column in ("way", "") else "right")
    for way in ways:
        found = summaries[way.name]
        numbers = (found.p50, found.p90, found.p99, found.max)
        shown = (f"{number:.0f}" for number in numbers)
        table.add_row(way.name, way.what, str(found.n), str(failed[way.name]), *shown)
    console.print(table)
    steps = {way.name: median_steps(samples, way.name) for way in ways}
    console.print(steps_table(steps))
    path = figures.write(
        "join",
        {
            "unit": "milliseconds since the caller's connect()",
            "ways": {
                way.name: {
                    "what": way.what,
                    "failed": failed[way.name],
                    "published": summaries[way.name],
                    "steps_p50": steps[way.name],
                }
                for way in ways
            },
            "samples": [asdict(sample) for sample in samples],
        },
    )
    console.print(f"every call is in {path.relative_to(REPOSITORY)}")
    print(line(summaries))


def summed_up(samples: Sequence[Sample], way: str) -> Summary:
    """Return the distribution of a way's calls that had an agent."""
    return Summary.of([s.published for s in samples if s.way == way and s.published is not None])


def median_steps(samples: Sequence[Sample], way: str) -> dict[str, float]:
    """Return the median of each step of a way, in the order in which they happen."""
    found: dict[str, list[float]] = {}
    for sample in samples:
        if sample.way == way:
            for what, at in sample.steps.items():
                found.setdefault(what, []).append(at)
    medians = {what: percentile(times, 50) for what, times in found.items()}
    return dict(sorted(medians.items(), key=lambda item: item[1]))


def steps_table(steps: Mapping[str, Mapping[str, float]]) -> Table:
    """Return the steps of all ways side by side, in the order of the first that has them."""
    table = Table(title="its steps, p50")
    table.add_column("")
    for way in steps:
        table.add_column(way, justify="right")
    for step in dict.fromkeys(step for medians in steps.values() for step in medians):
        shown = (f"{medians[step]:.0f}" if step in medians else "" for medians in steps.values())
        table.add_row(step, *shown)
    return table


def line(summaries: Mapping[str, Summary]) -> str:
    """Return the last line: how the ways compare; NaN where one was not taken."""
    nothing = Summary.of([])
    warm, token, livekit, floor = (
        summaries.get(name, nothing) for name in ("warm", "token", "livekit", "floor")
    )
    return (
        f"join: warm/livekit p50={warm.p50 / livekit.p50:.2f} p99={warm.p99 / livekit.p99:.2f} "
        f"warm/floor p50={warm.p50 / floor.p50:.2f} "
        f"token/livekit p50={token.p50 / livekit.p50:.2f} "
        f"n={min(summary.n for summary in summaries.values())}"
    )


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
    # What was begun is taken down then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        cluster = local.up()
        for image in (local.OPERATOR, local.AGENT):
            local.build(image)
        chart.install(cluster)
        asyncio.run(bench(cluster, names, calls))
    except local.LocalError as error:
        console.print(f"error: {error}", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
