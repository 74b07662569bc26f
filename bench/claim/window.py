"""One window: from a quiet cluster with a full pool, through whole lives, to the same again."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass

from bench.claim import processes, writes
from bench.claim.arrivals import arrivals
from local.progress import step
from local.scale import kwok, ledger, rig
from local.scale.callers import call
from local.scale.ledger import Verdict
from voicepod.kube.client import Kube
from voicepod.reconcile import demand

TALK_SECONDS = 4.0
"""A short call: what a session costs does not depend on how long its agent talks."""

# So short that the end of a session is in its window; long enough for its ledger to be read.
TTL = "2s"

# Seconds by which a refill takes longer where all of the machine is busy with calls: the operator
# makes room for a claim first, and the scheduler has its turn then.
_HURRIED_SECONDS = 2.0

# Seconds until a window's last session must be gone and the pool be full: one that never ends is a
# failure of the run.
_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What happened in the cluster between two moments."""

    seconds: float
    counted: int
    """Writes by the API server's counters."""
    written: Counter[writes.Write]
    """The same by its audit log."""
    cpu: dict[str, float]
    """Seconds by process."""


@dataclass(frozen=True, slots=True)
class Window:
    """Sessions at one rate, and what they cost."""

    rate: float
    pool: int
    verdict: Verdict
    cost: Cost
    memory_mb: float
    """Of the operator, at its end."""


class Meter:
    """Measures from its making on."""

    def __init__(self) -> None:
        # The reading costs the API server something, which the window shall not pay for.
        self._writes = writes.read()
        self._cpu, self._start = processes.cpu_seconds(), time.monotonic()

    def cost(self) -> Cost:
        """Return what has happened since."""
        seconds, cpu = time.monotonic() - self._start, processes.cpu_seconds()
        now = writes.read()
        return Cost(
            seconds,
            now.counted - self._writes.counted,
            writes.between(self._writes, now),
            {name: used - self._cpu[name] for name, used in cpu.items()},
        )


def pool_for(rate: float) -> int:
    """Return how many warm pods a rate needs, by the operator's own rule."""
    return demand.pods_for(rate, kwok.REFILL_SECONDS[1] + _HURRIED_SECONDS)


async def idle(seconds: float) -> Cost:
    """Measure what the cluster costs when nothing happens."""
    with step("measuring the quiet cluster"):
        meter = Meter()
        await asyncio.sleep(seconds)
        return meter.cost()


async def measure(callers: Kube, rate: float, seconds: float) -> Window:
    """Have sessions come at a rate for some time, and wait for all of them to be over."""
    pool = pool_for(rate)
    await fill_pool(pool)
    with step(f"{rate:g} sessions a second for {seconds:g} s"):
        meter = Meter()
        called = await call(callers, f"r{rate:g}", arrivals(rate, seconds), TALK_SECONDS)
        await settled(pool)
        cost = meter.cost()
    memory = processes.memory_mb("operator")
    return Window(rate, pool, ledger.judge(called, await ledger.fetch()), cost, memory)


async def hold(callers: Kube, count: int) -> tuple[float, Verdict]:
    """Have a number of calls at the same time; return the operator's memory (MB) meanwhile."""
    # They come within seconds, and then talk until the memory was read.
    rate, talk = 20.0, 20.0
    pool = pool_for(rate)
    await fill_pool(pool)
    with step(f"{count} calls at the same time"):
        moments = [number / rate for number in range(count)]
        called = await call(callers, "held", moments, talk)
        await ledger.until(_PATIENCE, calls=count)
        memory = processes.memory_mb("operator")
        await settled(pool)
    return memory, ledger.judge(called, await ledger.fetch())


async def fill_pool(pool: int) -> None:
    """Set the size of the pool, and wait until all of it is warm."""
    rig.apply([rig.voice_agent(pool, ttlAfterFinished=TTL)])
    with step(f"waiting for {pool} warm pods"):
        await settled(pool)


async def settled(pool: int) -> None:
    """Wait until no session is there, and the pods are those of the full pool."""
    await ledger.until(_PATIENCE, sessions=0, pods=pool, warm=pool)
