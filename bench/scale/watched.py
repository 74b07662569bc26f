"""What the operator tells of itself, and what becomes of it when it starts."""

import asyncio
import time
from dataclasses import dataclass
from typing import Self

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from local.errors import LocalError
from local.scale import ledger
from local.scale.site import OPERATOR_URL

# Seconds between two looks, each of which costs the operator some milliseconds.
_LOOK_EVERY = 0.25

# Seconds: an operator that has not caught up by then has failed.
_PATIENCE = 300.0


@dataclass(frozen=True, slots=True)
class Look:
    """The operator at one moment."""

    sessions: int
    """That it knows."""
    pool: int
    """Pods that wait, or are on their way to."""
    queued: int
    """Objects that wait to be looked at."""

    @classmethod
    async def take(cls) -> Self | None:
        """Look at it; None while it does not lead."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{OPERATOR_URL}/metrics") as told:
                text = await told.text()
        except aiohttp.ClientError:
            return None
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            sums[family.name] = sum(sample.value for sample in family.samples)
        if "voicepod_sessions" not in sums:
            return None
        return cls(
            int(sums["voicepod_sessions"]),
            int(sums["voicepod_pool_pods"]),
            int(sums["voicepod_queue_depth"]),
        )


@dataclass(frozen=True, slots=True)
class CatchUp:
    """How an operator began; times in seconds since it was started, or its forerunner killed."""

    began: float
    """By the monotonic clock."""
    leads: float
    caught_up: float
    """It knows all sessions, its pool is right, and every session that has come has its pod."""


async def catch_up(began: float, sessions: int, pool: int) -> CatchUp:
    """Watch an operator begin, beside so many sessions at least.

    Raises LocalError when it does not catch up.
    """
    leads = 0.0
    while True:
        look, now = await Look.take(), time.monotonic() - began
        if look:
            leads = leads or now
            known = look.sessions >= sessions and look.pool >= pool and look.queued == 0
            if known and not (await ledger.standing())["waiting"]:
                return CatchUp(began, leads, time.monotonic() - began)
        if now > _PATIENCE:
            raise LocalError(f"after {_PATIENCE:g} s the operator has not caught up: {look}")
        await asyncio.sleep(_LOOK_EVERY)
