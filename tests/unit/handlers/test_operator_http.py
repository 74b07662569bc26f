"""The operator's HTTP port, over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tests.support.fake_kube import FakeKube
from tests.unit.handlers.test_intake import CALL, session
from tests.unit.reconcile import pods
from voicepod.api.conditions import Reason
from voicepod.handlers.http import create_app
from voicepod.handlers.intake import Intake
from voicepod.kube.lease import Candidate, Election
from voicepod.reconcile.gauges import tell_of_process
from voicepod.reconcile.loop import Queue
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.world import World

pytestmark = pytest.mark.unit

Client = TestClient[Any, Any]

LEASE = ("voicepod-system", "voicepod-operator")


class Probe:
    """Whether the operator is ready."""

    ready = True


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
async def election() -> Election:
    """That of an operator which leads."""
    candidate = Candidate("one", "http://one")
    kube = FakeKube()
    election = Election(kube, LEASE, candidate, lambda: datetime.now(UTC), lambda: None)
    election.leads = True
    return election


@pytest.fixture
async def client(world: World, probe: Probe, election: Election) -> AsyncIterator[Client]:
    clock = partial(datetime.now, UTC)
    metrics = Metrics(world, clock)
    tell_of_process(metrics.registry, lambda: election.leads)
    intake = Intake(world, Queue(), metrics, clock)
    intake.session(session(), deleted=False)
    intake.pod(pods.RUNS, deleted=False)
    app = create_app(intake, election, lambda: probe.ready, metrics.registry)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_hint_is_taken(client: Client, world: World) -> None:
    answer = await client.post("/hint", json={"namespace": "voice", "pod": "call-1"})

    assert answer.status == 202
    assert world.records[CALL].call_stale


async def test_a_hint_of_a_pod_that_nobody_knows_is_not_found(client: Client, world: World) -> None:
    answer = await client.post("/hint", json={"namespace": "voice", "pod": "other"})

    assert answer.status == 404
    assert not world.records[CALL].call_stale


async def test_a_hint_of_a_pod_is_to_be_tried_again_while_pods_are_listed(
    client: Client, world: World
) -> None:
    world.unlisted = {("voice", "another")}

    for pod, status in (("other", 503), ("call-1", 202)):
        answer = await client.post("/hint", json={"namespace": "voice", "pod": pod})
        assert answer.status == status

    gone = await client.post("/hint", json={"namespace": "voice", "session": "gone"})
    assert gone.status == 404, "which sessions there are is known by then"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"call-1"',
        b'{"pod": "call-1"}',
        b"\xff",
        b'{"namespace": "voice"}',
    ],
)
async def test_what_is_no_hint_is_refused(client: Client, world: World, body: bytes) -> None:
    answer = await client.post("/hint", data=body)

    assert answer.status == 400
    assert "'namespace', and 'pod' or 'session'" in await answer.text()
    assert not world.records[CALL].call_stale


async def test_a_hint_about_a_room_is_taken(client: Client, world: World) -> None:
    answer = await client.post("/hint", json={"namespace": "voice", "session": "call"})

    assert answer.status == 202
    assert world.records[CALL].room_stale


async def test_a_hint_about_a_session_whose_end_is_decided_is_not_taken(
    client: Client, world: World
) -> None:
    world.records[CALL].status.end_reason = Reason.CALLER_LEFT

    answer = await client.post("/hint", json={"namespace": "voice", "session": "call"})

    assert answer.status == 404
    assert not world.records[CALL].room_stale


async def test_a_hint_is_sent_on_to_the_operator_that_leads(
    client: Client, world: World, election: Election, monkeypatch: pytest.MonkeyPatch
) -> None:
    election.leads = False
    monkeypatch.setattr(Election, "leader_url", "http://10.0.0.7:9551")

    answer = await client.post("/hint", json={}, allow_redirects=False)

    assert answer.status == 307
    assert answer.headers["Location"] == "http://10.0.0.7:9551/hint"
    assert not world.records[CALL].call_stale


async def test_a_hint_is_to_be_tried_again_while_no_operator_leads(
    client: Client, election: Election
) -> None:
    election.leads = False

    answer = await client.post("/hint", json={"namespace": "voice", "pod": "call-1"})

    assert answer.status == 503


async def test_a_hint_that_is_too_long_is_refused(client: Client) -> None:
    assert (await client.post("/hint", data=b" " * 2000)).status == 413


async def test_a_hint_is_not_to_be_got(client: Client) -> None:
    assert (await client.get("/hint")).status == 405


async def test_the_operator_is_alive_before_it_is_ready(client: Client, probe: Probe) -> None:
    probe.ready = False
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 503

    probe.ready = True
    assert (await client.get("/readyz")).status == 200


async def test_an_operator_that_stands_by_is_ready(client: Client, election: Election) -> None:
    election.leads = False

    assert (await client.get("/readyz")).status == 200
    assert "voicepod_leader 0.0" in await (await client.get("/metrics")).text()


async def test_the_operator_tells_its_metrics(client: Client) -> None:
    answer = await client.get("/metrics")

    assert answer.status == 200
    assert answer.content_type == "text/plain"
    told = await answer.text()
    assert "# TYPE voicepod_session_start_seconds histogram" in told
    assert "process_resident_memory_bytes" in told
    assert "voicepod_leader 1.0" in told
