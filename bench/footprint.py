"""`make bench-footprint`: what a pod that waits costs, one in a call, and LiveKit's shared worker.

The same agent code in the same image everywhere. A call is a short conversation, so that all has
been loaded that a call needs; what it uses is read when the agent has answered.
"""

import asyncio
import os
import secrets
import sys
from contextlib import AsyncExitStack
from statistics import mean
from typing import Any

from bench import command, figures, servers
from bench.calls import Way, eventually
from bench.dispatched import Automatic, Workers
from bench.operated import POOL, Platform, Warm
from bench.stage import Stage, installed, staged
from bench.usage import Memory, cpu_seconds, processes
from local.caller import SPEECH, Caller
from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import console, step
from voicepod.api.names import SIDECAR_CONTAINER

# Seconds in which idle CPU is counted.
_WINDOW = 30.0

# Seconds from ready to measured: what starting has left behind is collected, loads are reported.
_SETTLE = 15.0

# How many calls LiveKit's shared worker gets, each on top of those before.
_CALLS = 3

# Seconds between two of them: the worker takes none while its load is high, which is an average
# over the last 2.5.
_LULL = 5.0

# Seconds that one conversation may take.
_PATIENCE = 120.0

TOTAL = "total"


async def bench(stage: Stage) -> dict[str, Any]:
    """Measure all."""
    platform = Platform(stage)
    prefix = platform.apply_agent("warm", pool=POOL)
    warm = Warm(platform, "warm", "", "warm", prefix)
    async with servers.beside(stage.logs, "second", servers.SECOND) as second:
        workers = Workers(stage, second)
        await workers.prepare()
        shared = Automatic(workers)
        await shared.start()
        for way in (warm, shared):
            await way.ready()
        await asyncio.sleep(_SETTLE)
        waiting, worker = await platform.idle_pods("warm"), await workers.pod(shared.pod)
        cpu = await idle_cpu([*waiting, worker])
        return {
            "warm": [{**memory(pod), "cpu": cpu[pod["metadata"]["uid"]]} for pod in waiting],
            "call": await one_call(platform, warm),
            "livekit": {
                "cpu": cpu[worker["metadata"]["uid"]],
                "calls": await calls_on(worker, shared),
            },
        }


def memory(pod: dict[str, Any]) -> dict[str, Memory]:
    """Return what each container of a pod uses, and all of them together."""
    pids = processes(pod)
    containers = {name: Memory.of(each) for name, each in pids.items()}
    return {**containers, TOTAL: Memory.of(pid for each in pids.values() for pid in each)}


async def idle_cpu(pods: list[dict[str, Any]]) -> dict[str, float]:
    """Return how much of one core each pod uses, in percent, by its uid."""

    def used() -> dict[str, float]:
        return {
            pod["metadata"]["uid"]: cpu_seconds(
                pid for each in processes(pod).values() for pid in each
            )
            for pod in pods
        }

    with step(f"counting idle CPU for {_WINDOW:.0f} s"):
        before = used()
        await asyncio.sleep(_WINDOW)
        return {uid: 100 * (now - before[uid]) / _WINDOW for uid, now in used().items()}


async def converse(way: Way, room: str, stack: AsyncExitStack) -> None:
    """Call, ask, and be answered; the caller stays until the stack is left."""
    async with asyncio.timeout(_PATIENCE):
        caller = Caller(way.server.credentials.url, await way.token(room))
        await stack.enter_async_context(caller)
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        asked = await caller.say(SPEECH / "hours.wav")
        answered = await caller.heard_speech(after=asked)
        await caller.heard_silence(after=answered)


async def one_call(platform: Platform, way: Way) -> dict[str, Memory]:
    """Return what a pod uses in its call."""
    room = f"{way.prefix}{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        await converse(way, room, stack)
        found = memory(await eventually(f"{room} has a pod", lambda: platform.pod_of(room)))
    await way.over(room)
    return found


async def calls_on(worker: dict[str, Any], way: Way) -> list[dict[str, Memory]]:
    """Return what LiveKit's shared worker uses without a call, with one, with two, …"""
    found = [memory(worker)]
    async with AsyncExitStack() as stack:
        for number in range(1, _CALLS + 1):
            await asyncio.sleep(_LULL)
            await converse(way, f"{way.prefix}{number}", stack)
            found.append(memory(worker))
    return found


def report(found: dict[str, Any]) -> None:
    """Print the line, and write the file."""
    path = figures.write("footprint", {"unit": "MB, and percent of a core", **found})
    console.print(f"all of it is in {path.relative_to(REPOSITORY)}")
    warm = [pod[TOTAL] for pod in found["warm"]]
    calls = [each[TOTAL] for each in found["livekit"]["calls"]]
    per_call = (calls[-1].anon - calls[0].anon) / _CALLS
    print(
        f"footprint: warm anon={mean(each.anon for each in warm):.0f} "
        f"pss={mean(each.pss for each in warm):.0f} "
        f"cpu={mean(pod['cpu'] for pod in found['warm']):.1f}% "
        f"call anon={found['call'][TOTAL].anon:.0f} "
        f"sidecar anon={mean(pod[SIDECAR_CONTAINER].anon for pod in found['warm']):.0f} "
        f"livekit-idle anon={calls[0].anon:.0f} livekit-per-call anon={per_call:.0f}"
    )


async def _measure(cluster: Cluster) -> None:
    async with staged(cluster) as stage:
        report(await bench(stage))


def main() -> None:
    """Measure the footprint."""
    if os.geteuid() != 0:
        console.print("error: what other users' processes use is told to root only")
        sys.exit(1)
    command.run(lambda: _measure(installed()))


if __name__ == "__main__":
    main()
