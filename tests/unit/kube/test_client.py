"""``Kube`` against an API server of a few lines: the official client's transport is real."""

from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube
from voicepod.kube.client import DEPLOYMENTS, VOICE_SESSIONS, connect

pytestmark = pytest.mark.unit


async def test_a_proxy_for_the_rest_of_the_world_is_not_asked_for_the_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # Port 9 discards; nobody listens there.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serve(ApiServer(FakeKube()), tmp_path, monkeypatch), connect() as kube:
        assert await kube.list_all(VOICE_SESSIONS, "voice") == []


async def test_what_is_applied_is_made_then_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}}
    async with serve(ApiServer(FakeKube()), tmp_path, monkeypatch), connect() as kube:
        made = await kube.apply(DEPLOYMENTS, "voice", {**body, "spec": {"replicas": 1}})
        changed = await kube.apply(DEPLOYMENTS, "voice", {**body, "spec": {"paused": True}})

    assert made["metadata"]["uid"] == changed["metadata"]["uid"]
    assert (made["spec"], changed["spec"]) == ({"replicas": 1}, {"paused": True})
