"""How requests to outside systems are timed, by the real clients."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from prometheus_client import CollectorRegistry
from yarl import URL

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube, put_secret
from voicepod.assignment.client import PodClient, pod_session
from voicepod.assignment.errors import PodRefused, PodUnreachable
from voicepod.assignment.signing import Signer, generate_key
from voicepod.kube.client import EVENTS, PODS, SECRETS, VOICE_SESSIONS, connect
from voicepod.kube.errors import NotFound
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import Unauthorized
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.observability.requests import (
    kube_labels,
    kube_requests,
    livekit_requests,
    pod_requests,
)

pytestmark = pytest.mark.unit


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def counted(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """How many requests were timed, by their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name.endswith("_count")
    }


async def test_requests_to_the_api_server_are_timed_by_verb_resource_and_status(
    registry: CollectorRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeKube()
    put_secret(fake, "voice", "keys")
    async with (
        serve(ApiServer(fake), tmp_path, monkeypatch),
        connect(traces=[kube_requests(registry)]) as kube,
    ):
        await kube.get(SECRETS, "voice", "keys")
        with pytest.raises(NotFound):
            await kube.get(SECRETS, "voice", "other")
        await kube.list_all(VOICE_SESSIONS, None)
        await kube.create(EVENTS, "voice", {"metadata": {"name": "e"}}, dry_run=True)

    assert counted(registry) == {
        ("get", "secrets", "200"): 1,
        ("get", "secrets", "404"): 1,
        ("list", "voicesessions", "200"): 1,
        ("dry-run", "events", "200"): 1,
    }


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", PODS.path(None), ("list", "pods")),
        ("GET", PODS.path("voice"), ("list", "pods")),
        ("GET", PODS.path("voice") + "?watch=true", ("watch", "pods")),
        ("GET", PODS.path("voice", "call-1"), ("get", "pods")),
        ("GET", PODS.path("voice", "call-1", "log"), ("get", "pods/log")),
        ("POST", EVENTS.path("voice"), ("create", "events")),
        ("POST", PODS.path("voice") + "?dryRun=All", ("dry-run", "pods")),
        ("DELETE", PODS.path("voice", "call-1"), ("delete", "pods")),
        ("PATCH", VOICE_SESSIONS.path("voice", "call"), ("patch", "voicesessions")),
        (
            "PATCH",
            VOICE_SESSIONS.path("voice", "call", "status"),
            ("patch", "voicesessions/status"),
        ),
        # A namespace may be called whatever one likes.
        ("GET", PODS.path("namespaces", "pods"), ("get", "pods")),
    ],
)
def test_a_path_is_counted_as_its_resource_and_never_by_a_name(
    method: str, path: str, labels: tuple[str, str]
) -> None:
    assert kube_labels(method, URL(f"https://10.0.0.1{path}")) == labels


async def test_requests_to_livekit_are_timed_by_method_and_status(
    registry: CollectorRegistry,
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401, text="invalid API key")

    app = web.Application()
    app.add_routes([web.post("/{path:.*}", refuse)])
    async with TestServer(app) as server, client_session([livekit_requests(registry)]) as http:
        url = str(server.make_url("/behind/a/proxy"))
        rooms = Rooms(http, Credentials(url, "key", "a-secret-of-at-least-32-characters"))
        with pytest.raises(Unauthorized):
            await rooms.close("the caller's room")

    assert counted(registry) == {("DeleteRoom", "401"): 1}


async def test_requests_to_pods_are_timed_by_act_and_status(registry: CollectorRegistry) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"reason": "AgentNotReady", "message": "not yet"}, status=503)

    app = web.Application()
    app.add_routes([web.post("/v1/{act}", refuse)])
    async with (
        TestServer(app, host="127.0.0.1") as server,
        pod_session([pod_requests(registry)]) as http,
    ):
        assert server.port
        with pytest.raises(PodRefused):
            await PodClient(http, Signer(generate_key()), server.port).end("127.0.0.1", "u", "why")

    assert counted(registry) == {("end", "503"): 1}


async def test_a_request_without_an_answer_is_timed_as_one(registry: CollectorRegistry) -> None:
    async with pod_session([pod_requests(registry)]) as http:
        with pytest.raises(PodUnreachable):
            await PodClient(http, Signer(generate_key()), unused_port()).status("127.0.0.1", "u")

    assert counted(registry) == {("status", "none"): 1}
