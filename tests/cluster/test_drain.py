"""A node that is drained: live calls hold it up, and whoever waits goes at once."""

import json

import pytest

from local import LocalError
from tests.cluster.stage import Stage
from tests.cluster.test_pool import filled

pytestmark = pytest.mark.cluster


async def evict(stage: Stage, pod: str) -> str:
    """Ask for an eviction as ``kubectl drain`` does; return what the API server says."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": stage.namespace},
    }
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod}/eviction"
    try:
        return json.dumps(await stage.kubectl("create", "--raw", path, "-f", "-", data=eviction))
    except LocalError as error:
        return str(error)


async def test_a_live_call_is_not_evicted_and_a_waiting_pod_is_replaced(stage: Stage) -> None:
    prefix = await stage.apply_agent("drained", pool={"min": 1, "max": 2})
    (waiting,) = await filled(stage, "drained", 1)

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        (next_one,) = await filled(stage, "drained", 1)

        assert "disruption budget" in await evict(stage, waiting)
        assert "Success" in await evict(stage, next_one)
        await filled(stage, "drained", 1, but=frozenset({next_one}))

        asked = await caller.send_chat("When do you open?")
        await caller.heard_speech(after=asked)
        session = await stage.session_of(f"{prefix}1")
        status = await stage.status(session["metadata"]["name"])

    assert (status["pod"], status["generation"]) == (waiting, 1)
