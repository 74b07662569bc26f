"""Helm installs, upgrades, tests and removes the product; calls that are on go on."""

import asyncio
from collections.abc import Iterator

import pytest

from local import chart
from local.caller import Caller
from local.cluster import Cluster
from tests.cluster.stage import Stage
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS

pytestmark = pytest.mark.cluster


@pytest.fixture
def installed(cluster: Cluster) -> Iterator[None]:
    """Leave the chart installed as the other tests need it, whatever becomes of this one."""
    yield
    chart.install(cluster)


async def install(stage: Stage, *values: str) -> None:
    """Install or upgrade the chart while calls are on."""
    await asyncio.to_thread(chart.install, stage.cluster, *values)


async def greeted(caller: Caller) -> None:
    """Hear the greeting to its end."""
    await caller.heard_silence(after=await caller.heard_speech())


async def answered(caller: Caller) -> None:
    """Ask, and hear the reply to its end."""
    asked = await caller.send_chat("When do you open?")
    await caller.heard_silence(after=await caller.heard_speech(after=asked))


async def ends_well(stage: Stage, room: str, pod: str) -> None:
    """The caller has hung up: the session sees it, with the pod that it had all along."""
    (session,) = await stage.sessions(room)
    status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
    assert (status["endReason"], status["pod"]) == ("CallerLeft", pod)
    await stage.pods_gone()


async def test_an_upgrade_leaves_a_live_call_alone(stage: Stage, installed: None) -> None:
    prefix = await stage.apply_agent("upgraded")

    async with stage.call(f"{prefix}1") as caller:
        await greeted(caller)
        session = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        pod = (await stage.in_phase(session, "Active"))["pod"]
        await install(stage, "podAnnotations.example\\.com/upgrade=yes")
        await answered(caller)
        assert (await stage.status(session))["phase"] == "Active"

    await ends_well(stage, f"{prefix}1", pod)


async def test_a_live_call_outlives_uninstall_and_install(stage: Stage, installed: None) -> None:
    prefix = await stage.apply_agent("reinstalled")

    async with stage.call(f"{prefix}1") as caller:
        await greeted(caller)
        session = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        pod = (await stage.in_phase(session, "Active"))["pod"]
        await asyncio.to_thread(
            chart.helm,
            stage.cluster,
            *("uninstall", "voicepod", "--namespace", chart.NAMESPACE, "--wait"),
        )
        await answered(caller)
        assert (await stage.kube.get(PODS, stage.namespace, pod))["status"]["phase"] == "Running"
        assert await stage.kube.get(VOICE_AGENTS, stage.namespace, "reinstalled")
        assert await stage.kube.get(VOICE_SESSIONS, stage.namespace, session)
        await install(stage)
        await answered(caller)

    await ends_well(stage, f"{prefix}1", pod)


async def test_helm_test_makes_a_session_and_ends_it(stage: Stage, installed: None) -> None:
    await stage.apply_agent("tried")
    await install(stage, "test.agent=tried", f"test.namespace={stage.namespace}")

    told = await asyncio.to_thread(
        chart.helm,
        stage.cluster,
        *("test", "voicepod", "--namespace", chart.NAMESPACE, "--logs"),
    )

    for line in ("the operator is up", "the gateway is up", "the session has ended"):
        assert line in told
    await stage.pods_gone()
