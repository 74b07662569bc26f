"""The operator's process from start to end: it stands by, leads, and hands over."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube
from tests.support.process import ask, attempts, free_port, running
from tests.unit.reconcile.pods import RUNS, made_from
from voicepod import operator
from voicepod.kube.client import BUDGETS, NODES, PODS, VOICE_SESSIONS, Object
from voicepod.kube.lease import LEASES
from voicepod.observability import logs

pytestmark = pytest.mark.unit

LEASE = ("voicepod-system", "voicepod-operator")

# Its VoiceAgent is not there: the operator that leads writes so into its status.
SESSION: Object = {
    "metadata": {"name": "call"},
    "spec": {"agentRef": {"name": "desk"}, "room": "a room"},
}


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
async def api(kube: FakeKube) -> ApiServer:
    return ApiServer(kube)


@pytest.fixture
async def http(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the operator that is ``process``."""
    # It would take the log away from pytest.
    monkeypatch.setattr(logs, "configure", lambda _: None)
    port = free_port()
    settings = {
        "PORT": str(port),
        "NAMESPACE": LEASE[0],
        "POD_NAME": "one",
        "POD_IP": "127.0.0.1",
        "URL": "http://operator",
        "SIDECAR_IMAGE": "voicepod/operator",
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"VOICEPOD_{name}", value)
    async with (
        serve(api, tmp_path, monkeypatch),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client,
    ):
        yield client


def process(http: aiohttp.ClientSession) -> AbstractAsyncContextManager[None]:
    """The process, from when it is ready until SIGTERM has ended it."""
    return running(operator.run(), http)


async def metrics(http: aiohttp.ClientSession) -> set[str]:
    """The series of ours that are told, those without labels with their value."""
    async with http.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    return {line for line in lines if line.startswith("voicepod_") and "{" not in line}


def held_by(kube: FakeKube, name: str | None) -> None:
    """Write somebody into the Lease."""
    spec = {"holderIdentity": name, "leaseDurationSeconds": 3600, "renewTime": "just now"}
    metadata = {"name": LEASE[1], "annotations": {"voicepod.dev/url": "http://10.0.0.7:9551"}}
    kube.put(LEASES, LEASE[0], {"metadata": metadata, "spec": spec})


async def reconciled(kube: FakeKube) -> dict[str, Any]:
    async for _ in attempts():
        (session,) = kube.objects(VOICE_SESSIONS)
        if status := session.get("status"):
            return dict(status)
    raise AssertionError


async def test_a_single_operator_leads_and_gives_its_lease_back(
    kube: FakeKube, http: aiohttp.ClientSession
) -> None:
    kube.put(VOICE_SESSIONS, "voice", SESSION)
    async with process(http):
        assert (await reconciled(kube))["reason"] == "AgentNotFound"
        (lease,) = kube.objects(LEASES)
        assert lease["spec"]["holderIdentity"] == "one"
        url = lease["metadata"]["annotations"]["voicepod.dev/url"]
        assert await ask(http, f"{url}/healthz") == 200
        assert "voicepod_leader 1.0" in await metrics(http)
        assert "voicepod_queue_depth 0.0" in await metrics(http)
    (lease,) = kube.objects(LEASES)
    assert "holderIdentity" not in lease["spec"]


async def test_who_leads_from_the_start_lists_everything_once_and_then_watches(
    kube: FakeKube, api: ApiServer, http: aiohttp.ClientSession
) -> None:
    async with process(http):
        kube.put(VOICE_SESSIONS, "voice", SESSION)
        await reconciled(kube)
    # One list, and the watch.
    assert api.requests.count("GET /apis/voicepod.dev/v1alpha1/voicesessions") == 2


async def test_only_agent_pods_are_listed_and_watched(
    api: ApiServer, http: aiohttp.ClientSession
) -> None:
    async with process(http):
        async for _ in attempts():
            if len(api.selectors["pods"]) == 3:
                break
    assert api.selectors["pods"] == {
        "voicepod.dev/agent,!voicepod.dev/session",
        "voicepod.dev/agent,voicepod.dev/session",
        "voicepod.dev/agent",
    }, "those that wait, all others, and the watch"


def put_call_on_a_cordoned_node(kube: FakeKube) -> None:
    """A pod with a call, and its node."""
    kube.put(VOICE_SESSIONS, "voice", SESSION)
    kube.put(PODS, "voice", made_from(RUNS))
    kube.put(NODES, "", {"metadata": {"name": "node-1"}, "spec": {"unschedulable": True}})


async def test_cordoned_nodes_are_watched_and_their_calls_guarded(
    kube: FakeKube, api: ApiServer, http: aiohttp.ClientSession
) -> None:
    async with process(http):
        put_call_on_a_cordoned_node(kube)
        async for _ in attempts():
            if kube.objects(BUDGETS):
                break
    assert api.selectors["nodes"] == {"spec.unschedulable=true"}


async def test_an_operator_that_may_not_see_nodes_says_so_once_and_goes_on(
    kube: FakeKube,
    api: ApiServer,
    http: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    api.forbidden = frozenset({NODES})
    async with process(http):
        put_call_on_a_cordoned_node(kube)
        await reconciled(kube)
    assert [line for line in caplog.messages if "nodes is forbidden" in line] == [
        "a drain will not wait for calls, which other pods take over: nodes is forbidden"
    ]
    assert api.requests.count("GET /api/v1/nodes") == 1
    assert kube.objects(BUDGETS) == []


async def test_an_operator_stands_by_with_all_it_needs_and_goes_on_when_it_leads(
    kube: FakeKube, http: aiohttp.ClientSession
) -> None:
    held_by(kube, "another")
    async with process(http):
        kube.put(VOICE_SESSIONS, "voice", SESSION)
        async for _ in attempts():
            answer = await http.post("/hint", json={}, allow_redirects=False)
            if answer.status == 307:
                break
        assert answer.headers["Location"] == "http://10.0.0.7:9551/hint"
        assert await metrics(http) == {"voicepod_leader 0.0"}
        assert "status" not in kube.objects(VOICE_SESSIONS)[0]

        held_by(kube, None)
        await reconciled(kube)
        assert "voicepod_leader 1.0" in await metrics(http)


async def test_a_leader_whose_lease_another_one_has_begins_anew_at_once(
    kube: FakeKube, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()
    monkeypatch.setattr(os, "execv", lambda *_: ended.set())
    kube.put(VOICE_SESSIONS, "voice", SESSION)
    async with process(http):
        await reconciled(kube)
        held_by(kube, "another")
        await ended.wait()
        assert "voicepod_leader 0.0" in await metrics(http)
