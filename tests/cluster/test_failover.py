"""Operators and gateways go, killed or upgraded: calls go on, and calls that come start."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator

import pytest

from local import chart, node
from local.cluster import Cluster
from tests.cluster.stage import Json, Stage
from tests.cluster.test_chart import answered, greeted, install
from voicepod.kube.client import PODS
from voicepod.kube.lease import LEASES

pytestmark = pytest.mark.cluster

LEASE = (chart.NAMESPACE, "voicepod-operator")


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[None]:
    """Leave the chart as the other tests need it."""
    yield
    chart.install(cluster)


async def leader(stage: Stage) -> str:
    """Wait until an operator leads, and return the name of its pod."""

    async def holds() -> str | None:
        lease = await stage.kube.get(LEASES, *LEASE)
        holder = str(lease["spec"].get("holderIdentity", ""))
        return holder if holder.startswith("voicepod-operator-") else None

    return await stage.eventually("an operator leads", holds)


async def leader_is_deleted(stage: Stage) -> None:
    """The leader's pod is deleted by force: it may have a moment to hand over, or none."""
    await delete_by_force(stage, await leader(stage))


async def leader_is_killed(stage: Stage) -> None:
    """The leader's process is killed: the kubelet starts it anew, and another may lead by then."""
    if stage.cluster.provider != "embedded":
        pytest.skip("it is a process of the embedded cluster that is killed")
    (pid,) = node.containers(chart.NAMESPACE, named="operator", pod=await leader(stage)).values()
    os.kill(pid, signal.SIGKILL)


async def lease_is_lost(stage: Stage) -> None:
    """Somebody has the leader's Lease: it ends at once, and nobody leads until that runs out."""
    await leader(stage)
    await stage.kube.patch(LEASES, *LEASE, {"spec": {"holderIdentity": "somebody"}})


async def delete_by_force(stage: Stage, pod: str) -> None:
    """Delete a pod of the chart without grace."""
    await stage.kubectl(
        *("delete", "pod", pod, "--namespace", chart.NAMESPACE),
        *("--grace-period=0", "--force", "--wait=false"),
    )


async def only_session(stage: Stage, room: str) -> Json:
    """Return the session of a room, which must have one and no second pod."""
    sessions = await stage.sessions(room)
    assert len(sessions) == 1, [session.get("status") for session in sessions]
    (session,) = sessions
    name = session["metadata"]["name"]
    pods = await stage.kube.list_all(PODS, stage.namespace, f"voicepod.dev/session={name}")
    assert [pod["metadata"]["name"] for pod in pods] == [session["status"]["pod"]]
    assert session["status"]["generation"] == 1
    return session


@pytest.mark.parametrize("falls", [leader_is_deleted, leader_is_killed, lease_is_lost])
async def test_another_operator_goes_on_when_the_one_that_leads_is_gone(
    stage: Stage, falls: Callable[[Stage], Awaitable[None]]
) -> None:
    prefix = await stage.apply_agent(falls.__name__.replace("_", "-"))
    on, comes = f"{prefix}on", f"{prefix}comes"

    async with stage.call(on) as robert:
        await greeted(robert)
        before = await only_session(stage, on)
        await falls(stage)
        async with stage.call(comes, "alice") as alice:
            await greeted(alice)
            await answered(robert)
            await only_session(stage, comes)
            assert (await only_session(stage, on))["status"]["pod"] == before["status"]["pod"]

    for room in (on, comes):
        (session,) = await stage.sessions(room)
        status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
        assert status["endReason"] == "CallerLeft"
    await stage.pods_gone()


async def test_no_call_notices_an_upgrade(stage: Stage, installed: None) -> None:
    prefix = await stage.apply_agent("rolled")
    rooms = [f"{prefix}on"]

    async with stage.call(rooms[0]) as robert:
        await greeted(robert)
        pod = (await only_session(stage, rooms[0]))["status"]["pod"]
        upgrade = asyncio.create_task(install(stage, "podAnnotations.example\\.com/rolled=yes"))
        while not upgrade.done():
            rooms.append(f"{prefix}{len(rooms)}")
            async with stage.call(rooms[-1], "alice") as alice:
                await greeted(alice)
                await only_session(stage, rooms[-1])
        await upgrade
        await answered(robert)
        assert (await only_session(stage, rooms[0]))["status"]["pod"] == pod

    for room in rooms:
        (session,) = await stage.sessions(room)
        status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
        assert status["endReason"] == "CallerLeft"
    await stage.pods_gone()


async def test_webhooks_lose_nothing_when_a_gateway_is_killed(stage: Stage) -> None:
    prefix = await stage.apply_agent("hooked")
    rooms = [f"{prefix}{number}" for number in range(4)]
    gateways = await stage.kube.list_all(
        PODS, chart.NAMESPACE, "app.kubernetes.io/component=gateway"
    )

    async def call(room: str) -> None:
        async with stage.call(room) as caller:
            await caller.heard_speech()
            await only_session(stage, room)

    await asyncio.gather(delete_by_force(stage, gateways[0]["metadata"]["name"]), *map(call, rooms))
    await stage.pods_gone()
