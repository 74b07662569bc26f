"""The API server goes under live calls: they go on, and all that waited for it is made good."""

import asyncio
import os
import secrets
import signal
from collections.abc import Iterator

import pytest

from local import chart
from local.cluster import Cluster
from local.controlplane import CLUSTER
from tests.cluster.stage import Stage
from tests.cluster.test_chart import answered, greeted
from tests.cluster.test_failover import only_session
from tests.cluster.test_pool import filled

pytestmark = pytest.mark.cluster

# Seconds that the API server is away: longer than a leader keeps its Lease.
AWAY = 10.0


@pytest.fixture(autouse=True)
def _restarted(cluster: Cluster) -> Iterator[None]:
    """Leave a cluster behind in which all is at work: its parts take a minute to ask again."""
    if cluster.provider != "embedded":
        pytest.skip("it is a process of the embedded cluster that is killed")
    yield
    CLUSTER.start()
    name = f"test-{secrets.token_hex(3)}"
    chart.make_namespace(cluster, name)
    made = ("--for=create", "serviceaccount/default", "--namespace", name, "--timeout=2m")
    chart.kubectl(cluster, "wait", *made)
    chart.kubectl(cluster, "delete", "namespace", name, "--wait=false")


async def api_server_is_killed(stage: Stage) -> None:
    pid = CLUSTER.daemons.pid("kube-apiserver")
    assert pid
    os.kill(pid, signal.SIGKILL)


async def test_calls_outlive_the_api_server_and_what_waited_for_it_is_made_good(
    stage: Stage,
) -> None:
    # A pod for each: those that start wait for the kubelet, which may take a minute to come back.
    prefix = await stage.apply_agent("outage", pool={"min": 3, "max": 3})
    await filled(stage, "outage", 3)
    stays, goes, comes = (f"{prefix}{what}" for what in ("stays", "goes", "comes"))

    async with stage.call(stays) as robert:
        async with stage.call(goes, "alice") as alice:
            await greeted(robert)
            await greeted(alice)
            before = await only_session(stage, stays)
            hung_up = (await only_session(stage, goes))["metadata"]["name"]
            await api_server_is_killed(stage)
            await answered(robert)
            await answered(alice)
        async with stage.call(comes, "carol") as carol:
            await asyncio.sleep(AWAY)
            await answered(robert)
            await asyncio.to_thread(CLUSTER.start)
            await greeted(carol)
            await stage.in_phase(hung_up, "Ended")
            await only_session(stage, comes)
            after = await only_session(stage, stays)
            assert after["status"]["pod"] == before["status"]["pod"]
            await answered(robert)

    await stage.pods_gone()
    await filled(stage, "outage", 3)
