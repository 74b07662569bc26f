"""What became of the sessions: how long each step took, and whatever went wrong."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import aiohttp

from local.errors import LocalError
from local.scale.callers import Caller
from local.scale.site import SIDECARS_URL

STEPS = ("received", "claimed", "assigned", "joined", "firstAudio", "ended")
"""Of a session's status, in their order."""

# An agent closes the room and leaves, as one does at the end of a call. Who is told of the first
# while no operator leads takes it down as a caller's leaving.
_ENDS = {("Ended", "RoomClosed"), ("Ended", "CallerLeft")}

# Seconds between two looks.
_LOOK_EVERY = 0.5


@dataclass(slots=True)
class Verdict:
    """How some sessions fared."""

    assigned: list[float] = field(default_factory=list)
    """Seconds from each session's create to its assignment, in the order of the creates."""
    created: list[float] = field(default_factory=list)
    """Seconds that each create took to be answered."""
    late: float = 0.0
    """Seconds that a create came after its moment at most: the load generator's own share."""
    steps: dict[str, list[float]] = field(default_factory=lambda: {step: [] for step in STEPS})
    """Seconds from the create to each step, by the ledgers in the sessions' status."""
    cold: int = 0
    """Sessions that found the pool empty, and started a pod of their own."""
    failures: list[str] = field(default_factory=list)


async def fetch() -> dict[str, Any]:
    """Ask the sidecars' stand-in what it has seen."""
    return await _get("ledger")


async def standing() -> dict[str, int]:
    """Return how many sessions and pods there are now, and what the pods are doing."""
    return await _get("standing")


async def warm() -> int:
    """Return how many pods are warm now."""
    return (await standing())["warm"]


async def until(seconds: float, **wanted: int) -> None:
    """Wait until there are as many sessions, pods, warm pods, calls as wanted.

    Raises LocalError when that is not so within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not wanted.items() <= (now := await standing()).items():
        if time.monotonic() > deadline:
            raise LocalError(f"after {seconds:g} s there are {now}, not {wanted}")
        await asyncio.sleep(_LOOK_EVERY)


async def _get(what: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"{SIDECARS_URL}/{what}") as response:
        answer: dict[str, Any] = await response.json()
        return answer


def judge(callers: Iterable[Caller], ledger: dict[str, Any]) -> Verdict:
    """Lay the callers beside what was seen of their sessions and pods."""
    told = defaultdict(list)
    for pod in ledger["pods"].values():
        for one in pod["told"]:
            told[one["session"]].append((one, pod))
    verdict = Verdict()
    for caller in callers:
        verdict.late = max(verdict.late, caller.created - caller.due)
        verdict.created.append(caller.answered - caller.created)
        problem = caller.error or _problem(told[caller.uid], ledger["sessions"].get(caller.uid))
        if problem:
            verdict.failures.append(f"{caller.name}: {problem}")
            continue
        one, pod = told[caller.uid][0]
        verdict.assigned.append(one["at"] - caller.created)
        verdict.cold += pod["name"].startswith(f"{caller.name}-")
        times = ledger["sessions"][caller.uid]["status"]["times"]
        for step in STEPS:
            at = datetime.fromisoformat(times[step]).timestamp()
            verdict.steps[step].append(at - caller.created_unix)
    return verdict


def _problem(told: list[tuple[Any, Any]], session: dict[str, Any] | None) -> str | None:
    """Return what went wrong with a session, or None."""
    if not told or session is None:
        return "it was given to no pod"
    if len({pod["name"] for _, pod in told}) > 1:
        return f"it was given to {len(told)} pods"
    for one, pod in told:
        if not one["taken"] or len(pod["owners"]) > 1:
            return f"pod {pod['name']} was given to more than one session: {pod['owners']}"
    status = session["status"]
    if (status.get("phase"), status.get("endReason")) not in _ENDS:
        return f"it was {status.get('phase')}: {status.get('message')}"
    return None if session["gone"] else "it was not deleted"
