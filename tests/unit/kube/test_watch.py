"""``watching`` against an API server of a few lines: kopf is real, and so are HTTP and signals."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kopf
import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube
from voicepod.api.names import API_VERSION, GROUP, SESSIONS, VERSION
from voicepod.kube.client import VOICE_SESSIONS
from voicepod.kube.watch import watching

pytestmark = pytest.mark.unit

Seen = asyncio.Queue[tuple[str | None, str]]


def put_session(kube: FakeKube, name: str, namespace: str = "voice") -> None:
    body = {"apiVersion": API_VERSION, "kind": "VoiceSession", "metadata": {"name": name}}
    kube.put(VOICE_SESSIONS, namespace, body)


@pytest.fixture
async def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
async def api(
    kube: FakeKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ApiServer]:
    api = ApiServer(kube)
    put_session(kube, "listed")
    async with serve(api, tmp_path, monkeypatch):
        yield api


@pytest.fixture
def registry() -> kopf.OperatorRegistry:
    return kopf.OperatorRegistry()


@pytest.fixture
def seen(registry: kopf.OperatorRegistry) -> Seen:
    events: Seen = asyncio.Queue()

    @kopf.on.event(GROUP, VERSION, SESSIONS, registry=registry)
    async def see(event: kopf.RawEvent, name: str, **_: Any) -> None:
        events.put_nowait((event["type"], name))

    return events


async def test_handlers_get_what_is_listed_and_what_changes_and_nothing_is_written(
    api: ApiServer, kube: FakeKube, registry: kopf.OperatorRegistry, seen: Seen
) -> None:
    async with watching(registry, []):
        assert await seen.get() == (None, "listed")
        put_session(kube, "new")
        assert await seen.get() == ("ADDED", "new")
        kube.remove(VOICE_SESSIONS, "voice", "new")
        assert await seen.get() == ("DELETED", "new")
    assert set(api.requests) == {f"GET /apis/{API_VERSION}/{SESSIONS}"}


async def test_only_the_given_namespaces_are_watched(
    api: ApiServer, kube: FakeKube, registry: kopf.OperatorRegistry, seen: Seen
) -> None:
    put_session(kube, "foreign", namespace="another")
    async with watching(registry, ["voice"]):
        assert await seen.get() == (None, "listed")
        put_session(kube, "new")
        assert await seen.get() == ("ADDED", "new")
    assert set(api.requests) == {f"GET /apis/{API_VERSION}/namespaces/voice/{SESSIONS}"}


@pytest.mark.usefixtures("api")
async def test_a_signal_is_told_and_ends_neither_the_watches_nor_other_tasks(
    kube: FakeKube, registry: kopf.OperatorRegistry, seen: Seen
) -> None:
    async with watching(registry, []) as stop:
        await seen.get()
        other = asyncio.create_task(asyncio.Event().wait())
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        put_session(kube, "later")
        assert await seen.get() == ("ADDED", "later")
    assert not other.done()
    other.cancel()


@pytest.mark.usefixtures("api")
async def test_an_error_of_the_body_stops_the_watches(
    registry: kopf.OperatorRegistry, seen: Seen
) -> None:
    async def run() -> None:
        async with watching(registry, []):
            await seen.get()
            raise ValueError("of the body")

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(ValueError, match="of the body")
    assert "kopf" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_watch_that_fails_for_good_ends_the_body(
    api: ApiServer, registry: kopf.OperatorRegistry, seen: Seen
) -> None:
    async def run() -> None:
        async with watching(registry, []):
            await seen.get()
            api.fail("etcd is corrupt")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(Exception, match="etcd is corrupt")
