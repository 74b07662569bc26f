"""``watching`` against an API server of a few lines: kopf is real, and so are HTTP and signals."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kopf
import pytest
import yaml
from aiohttp import web

from voicepod.api.names import API_VERSION, GROUP, SESSIONS, VERSION
from voicepod.kube.watch import watching

pytestmark = pytest.mark.unit


def session(name: str) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {"name": name, "namespace": "voice", "uid": name, "resourceVersion": "1"},
        "spec": {},
    }


class ApiServer:
    """One VoiceSession in its list, and whatever ``tell`` says in its watch."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.writes: list[str] = []
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def tell(self, type_: str, name: str) -> None:
        self._told.put_nowait({"type": type_, "object": session(name)})

    def fail(self, message: str) -> None:
        status = {"kind": "Status", "code": 500, "message": message}
        self._told.put_nowait({"type": "ERROR", "object": status})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.method != "GET":
            self.writes.append(f"{request.method} {request.path}")
        if request.query.get("watch"):
            return await self._watch(request)
        match request.path:
            case "/api":
                return web.json_response({"versions": ["v1"]})
            case "/api/v1":
                return web.json_response(
                    {"resources": [_kind("namespaces", "Namespace"), _kind("events", "Event")]}
                )
            case "/apis":
                version = {"version": VERSION}
                group = {"name": GROUP, "versions": [version], "preferredVersion": version}
                return web.json_response({"groups": [group]})
            case path if path == f"/apis/{API_VERSION}":
                return web.json_response({"resources": [_kind(SESSIONS, "VoiceSession")]})
            case path if path.endswith(f"/{SESSIONS}"):
                self.paths.append(path)
                return web.json_response(
                    {"metadata": {"resourceVersion": "1"}, "items": [session("listed")]}
                )
        raise web.HTTPNotFound

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            event = await self._told.get()
            await response.write(json.dumps(event).encode() + b"\n")


def _kind(plural: str, kind: str) -> dict[str, Any]:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": True,
        "verbs": ["list", "watch", "patch"],
    }


@pytest.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ApiServer]:
    server = ApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://{host}:{port}"}}],
        "users": [{"name": "test", "user": {}}],
    }
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    yield server
    await runner.cleanup()


@pytest.fixture
def registry() -> kopf.OperatorRegistry:
    return kopf.OperatorRegistry()


@pytest.fixture
def seen(registry: kopf.OperatorRegistry) -> asyncio.Queue[tuple[str | None, str]]:
    events: asyncio.Queue[tuple[str | None, str]] = asyncio.Queue()

    @kopf.on.event(GROUP, VERSION, SESSIONS, registry=registry)
    async def see(event: kopf.RawEvent, name: str, **_: Any) -> None:
        events.put_nowait((event["type"], name))

    return events


async def test_handlers_get_what_is_listed_and_what_changes_and_nothing_is_written(
    api: ApiServer, registry: kopf.OperatorRegistry, seen: asyncio.Queue[tuple[str | None, str]]
) -> None:
    async with watching(registry, []):
        assert await seen.get() == (None, "listed")
        api.tell("ADDED", "new")
        assert await seen.get() == ("ADDED", "new")
        api.tell("DELETED", "new")
        assert await seen.get() == ("DELETED", "new")
    assert api.paths == [f"/apis/{API_VERSION}/{SESSIONS}"]
    assert api.writes == []


async def test_only_the_given_namespaces_are_watched(
    api: ApiServer, registry: kopf.OperatorRegistry, seen: asyncio.Queue[tuple[str | None, str]]
) -> None:
    async with watching(registry, ["voice"]):
        await seen.get()
    assert api.paths == [f"/apis/{API_VERSION}/namespaces/voice/{SESSIONS}"]


async def test_a_signal_is_told_and_ends_neither_the_watches_nor_other_tasks(
    api: ApiServer, registry: kopf.OperatorRegistry, seen: asyncio.Queue[tuple[str | None, str]]
) -> None:
    async with watching(registry, []) as stop:
        await seen.get()
        other = asyncio.create_task(asyncio.Event().wait())
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        api.tell("ADDED", "later")
        assert await seen.get() == ("ADDED", "later")
        assert not other.done()
        other.cancel()


@pytest.mark.usefixtures("api")
async def test_an_error_of_the_body_stops_the_watches(
    registry: kopf.OperatorRegistry, seen: asyncio.Queue[tuple[str | None, str]]
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
    api: ApiServer, registry: kopf.OperatorRegistry, seen: asyncio.Queue[tuple[str | None, str]]
) -> None:
    async def run() -> None:
        async with watching(registry, []):
            await seen.get()
            api.fail("etcd is corrupt")
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(Exception, match="etcd is corrupt")
