"""More callers at once than there are warm pods."""

import pytest

from local.scale import ledger, rig
from local.scale.callers import call
from voicepod.kube.client import Kube

pytestmark = pytest.mark.scale

CALLERS = 300
POOL = 50

# The operator works on as many sessions at once; among those, it is chance whose request the API
# server answers first. So a session may be overtaken by many, but none overtakes more than these.
AT_ONCE = 64

# In seconds: all this is over in a fraction of it, on two cores that do nothing else.
PATIENCE = 500.0


async def test_three_hundred_at_once_on_a_pool_of_fifty(callers: Kube) -> None:
    # A session's first minute may be over on a busy machine before the last pod is there.
    rig.apply([rig.voice_agent(POOL, startDeadline="10m", ttlAfterFinished="2s")])
    await ledger.until(PATIENCE, pods=POOL, warm=POOL)
    called = await call(callers, "burst", [0.0] * CALLERS, talk=5)
    await ledger.until(PATIENCE, sessions=0, pods=POOL, warm=POOL)
    seen = await ledger.fetch()

    verdict = ledger.judge(called, seen)
    assert verdict.failures == []

    pods = list(seen["pods"].values())
    assert len(pods) == CALLERS + POOL, "a pod for each session, and the pool once more"
    assert verdict.cold <= CALLERS - POOL, "who comes first finds a warm pod"

    came = {session["name"]: place for place, session in enumerate(seen["sessions"].values())}
    owned = sorted((pod for pod in pods if pod["owners"]), key=lambda pod: pod["owned"])
    order = [came[pod["owners"][0]] for pod in owned]
    for place, session in enumerate(order):
        overtaken = [later for later in order[place + 1 :] if later < session]
        assert len(overtaken) < AT_ONCE, "first come, first served"
