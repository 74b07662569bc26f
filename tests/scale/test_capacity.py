"""More callers of several tenants than there are places."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import pytest

from local.scale import ledger, rig
from local.scale.callers import Caller, call
from voicepod.kube.client import Kube

pytestmark = pytest.mark.scale

PLACES: Final = 50
CALLERS: Final = {"acme": 130, "bolt": 50, "coin": 20}

# Warm pods: a few, so that whoever is next starts warm or cold.
POOL: Final = 5

# In seconds: all this is over in a fraction of it, on two cores that do nothing else.
PATIENCE: Final = 500.0

# The operator works on as many sessions at once; among those, it is chance who is first.
AT_ONCE: Final = 64

Statuses = Mapping[str, Any]


def desk(queue_deadline: str) -> dict[str, Any]:
    """The VoiceAgent; a room's name begins with its tenant's."""
    capacity = {
        "maxSessions": PLACES,
        "queueDeadline": queue_deadline,
        "tenantFrom": {"roomDelimiter": "-"},
    }
    return rig.voice_agent(POOL, capacity, startDeadline="10m", ttlAfterFinished="2s")


async def all_call(callers: Kube, talk: float, counts: Mapping[str, int]) -> list[Caller]:
    """Have every tenant's callers call at one moment."""
    crowds = await asyncio.gather(
        *(call(callers, tenant, [0.0] * count, talk) for tenant, count in counts.items())
    )
    return [caller for crowd in crowds for caller in crowd]


async def over(called: list[Caller]) -> tuple[list[str], dict[str, Statuses]]:
    """Wait until all is over; return what went wrong, and each session's last status."""
    await ledger.until(PATIENCE, sessions=0, pods=POOL, warm=POOL)
    seen = await ledger.fetch()
    statuses = {caller.name: seen["sessions"][caller.uid]["status"] for caller in called}
    return ledger.judge(called, seen).failures, statuses


def moment(status: Statuses, step: str) -> float:
    return datetime.fromisoformat(status["times"][step]).timestamp()


def most_at_once(statuses: dict[str, Statuses]) -> int:
    """How many had a pod at one moment, by their own ledgers."""
    served = [status for status in statuses.values() if "claimed" in status["times"]]
    changes = [(moment(status, "claimed"), 1) for status in served]
    changes += [(moment(status, "ended"), -1) for status in served]
    count = most = 0
    for _, change in sorted(changes):
        count += change
        most = max(most, count)
    return most


def tenant_of(name: str) -> str:
    return name.partition("-")[0]


async def test_two_hundred_callers_of_three_tenants_on_fifty_places(callers: Kube) -> None:
    rig.apply([desk("1h")])
    await ledger.until(PATIENCE, pods=POOL, warm=POOL)

    failures, statuses = await over(await all_call(callers, 5, CALLERS))

    assert failures == [], "nobody is lost"
    assert most_at_once(statuses) == PLACES
    order = sorted(statuses, key=lambda name: moment(statuses[name], "claimed"))
    for tenant in CALLERS:
        served = [name for name in order if tenant_of(name) == tenant]
        came = sorted(served, key=lambda name: moment(statuses[name], "received"))
        for place, name in enumerate(served):
            assert abs(place - came.index(name)) < AT_ONCE, "first come, first served"
    assert tenant_of(order[-1]) == "acme", "who has few calls does not wait for who has many"


async def test_who_waits_for_longer_than_the_deadline_is_told_so(callers: Kube) -> None:
    late = 10
    rig.apply([desk("3s")])
    await ledger.until(PATIENCE, pods=POOL, warm=POOL)

    failures, statuses = await over(await all_call(callers, 60, {"acme": PLACES + late}))

    gave_up = [one for one in statuses.values() if one["endReason"] == "QueueDeadline"]
    assert len(gave_up) == len(failures) == late
    assert all("claimed" not in one["times"] for one in gave_up)
    assert all(round(moment(one, "ended") - moment(one, "queued"), 3) >= 3 for one in gave_up)
    assert most_at_once(statuses) == PLACES
