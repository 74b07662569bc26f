"""Calls that come and go beside those that stay, with and without a restart in their middle."""

import asyncio
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.claim import processes
from bench.claim.arrivals import arrivals
from bench.claim.window import TALK_SECONDS
from bench.scale.watched import CatchUp, catch_up
from local.progress import step
from local.scale import ledger
from local.scale.callers import Caller, call
from local.scale.ledger import Verdict
from local.scale.site import PLANE
from voicepod.kube.client import Kube

# Seconds until a window's last session must be gone and the pool be full.
_PATIENCE = 120.0

# Seconds: what was asked for so shortly before the kill may have been under way.
_UNDER_WAY = 1.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What is there all the time."""

    sessions: int
    pool: int


@dataclass(frozen=True, slots=True)
class Window:
    """Sessions that came and went."""

    beside: int
    """How many calls were on all the time."""
    verdict: Verdict
    """Of those that came while an operator led."""
    meanwhile: Verdict
    """Of those that came from the kill until the next one had caught up."""
    cpu: float
    """Of the operator: seconds in a second, while nothing but churn happened."""
    rss_mb: float
    """Of the operators, at most."""
    restart: CatchUp | None = None


async def settle(beside: Standing, patience: float = _PATIENCE) -> None:
    """Wait until nothing is there but what is there all the time."""
    await ledger.until(
        patience,
        sessions=beside.sessions,
        pods=beside.sessions + beside.pool,
        warm=beside.pool,
    )


async def churn(
    kube: Kube, name: str, beside: Standing, rate: float, seconds: float, kill: bool
) -> Window:
    """Have sessions come for some time; `kill` the operator in the middle of it."""
    with step(f"{rate:g} sessions a second for {seconds:g} s beside {beside.sessions} calls"):
        calling = asyncio.create_task(call(kube, name, arrivals(rate, seconds), TALK_SECONDS))
        start, cpu = time.monotonic(), processes.cpu_seconds()["operator"]
        await asyncio.sleep(seconds / 2 if kill else seconds)
        used = (processes.cpu_seconds()["operator"] - cpu) / (time.monotonic() - start)
        rss = processes.peak_mb("operator")
        restart = await _restart(beside) if kill else None
        called = await calling
        await settle(beside)
    rss = max(rss, processes.peak_mb("operator"))
    seen = await ledger.fetch()
    before, after = apart(called, restart)
    return Window(
        beside.sessions, ledger.judge(before, seen), ledger.judge(after, seen), used, rss, restart
    )


async def _restart(beside: Standing) -> CatchUp:
    pid = PLANE.daemons.pid("operator")
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return await catch_up(began, beside.sessions, beside.pool)


def apart(called: Iterable[Caller], restart: CatchUp | None) -> tuple[list[Caller], list[Caller]]:
    """Return those who came while an operator led, and those who came while none did."""
    if restart is None:
        return list(called), []
    first, last = restart.began - _UNDER_WAY, restart.began + restart.caught_up
    parts: tuple[list[Caller], list[Caller]] = [], []
    for caller in called:
        parts[first <= caller.created <= last].append(caller)
    return parts


def lost(uids: Iterable[str], seen: dict[str, Any]) -> list[str]:
    """Return what became of calls that should have stayed, and did not."""
    pods = {pod["name"]: pod for pod in seen["pods"].values()}
    problems = []
    for uid in uids:
        life = seen["sessions"].get(uid)
        if life is None:
            problems.append(f"session {uid} was never seen")
            continue
        status = life["status"]
        pod = pods.get(status["pod"])
        stays = life["gone"] is None and pod is not None and pod["gone"] is None
        if not stays or status["phase"] != "Active" or status.get("lost"):
            problems.append(f"{life['name']}: {status['phase']}: {status.get('message')}")
    return problems
