"""``FakeKube`` over HTTP: for the real client and for kopf's real watches."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.config import kube_config

from tests.support.fake_kube import FakeKube
from voicepod.api.names import API_VERSION, GROUP, VERSION
from voicepod.kube.client import (
    BUDGETS,
    DEPLOYMENTS,
    EVENTS,
    NODES,
    PODS,
    SECRETS,
    VOICE_AGENTS,
    VOICE_SESSIONS,
    Object,
    Resource,
)
from voicepod.kube.errors import Conflict, KubeError, NotFound
from voicepod.kube.lease import LEASES

_SERVED: Final = {
    r.plural: r
    for r in (
        *(VOICE_AGENTS, VOICE_SESSIONS, PODS, NODES),
        *(BUDGETS, DEPLOYMENTS, SECRETS, EVENTS, LEASES),
    )
}


class ApiServer:
    """What kopf and ``Kube`` need of an API server, and nothing more."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.requests: list[str] = []
        """Method and path of each request, without those that find out which kinds there are."""
        self.selectors: dict[str, set[str]] = {}
        """By plural, the selectors that were asked for; empty for everything."""
        self.encodings: set[str] = set()
        """Those that were accepted."""
        self.forbidden: frozenset[Resource] = frozenset()
        """What nobody may see."""
        self.forgets = False
        """No list can be gone on with."""
        self._history: list[tuple[str, str, Object]] = []
        """Plural, type and object of each change."""
        self._told = asyncio.Condition()
        self._changes: set[asyncio.Task[None]] = set()
        for resource in _SERVED.values():
            kube.watch(resource, partial(self._change, resource.plural))

    def fail(self, message: str) -> None:
        """Have all watches that are open end with an error."""
        self._change("", "ERROR", {"kind": "Status", "code": 500, "message": message})

    def _change(self, plural: str, type_: str, item: Object) -> None:
        self._history.append((plural, type_, item))
        task = asyncio.get_running_loop().create_task(self._tell())
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)

    async def _tell(self) -> None:
        async with self._told:
            self._told.notify_all()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer any request."""
        if found := _DISCOVERY.get(request.path):
            return web.json_response(found)
        self.requests.append(f"{request.method} {request.path}")
        parts = request.path.strip("/").split("/")[2 if request.path.startswith("/api/") else 3 :]
        namespace = None
        if parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        resource, name, subresource = _SERVED[parts[0]], *(*parts[1:], "", "")[:2]
        selector = request.query.get("labelSelector", request.query.get("fieldSelector", ""))
        self.selectors.setdefault(resource.plural, set()).add(selector)
        self.encodings.add(request.headers.get("Accept-Encoding", ""))
        if resource in self.forbidden:
            return web.json_response({"message": f"{resource.plural} is forbidden"}, status=403)
        if request.query.get("watch"):
            return await self._watch(request, resource, namespace)
        try:
            served = await self._serve(request, resource, namespace, name, subresource)
            return web.json_response(served)
        except KubeError as error:
            status = {NotFound: 404, Conflict: 409}.get(type(error), 422)
            return web.json_response({"message": str(error)}, status=status)

    async def _serve(
        self,
        request: web.Request,
        resource: Resource,
        namespace: str | None,
        name: str,
        subresource: str,
    ) -> Object:
        place = namespace or ""
        match request.method:
            case "GET" if name:
                return await self.kube.get(resource, place, name)
            case "GET":
                return self._page(request, await self.kube.list_all(resource, namespace))
            case "POST":
                return await self.kube.create(resource, place, await request.json())
            case "PATCH":
                patch = json.loads(await request.read())
                if request.content_type == "application/apply-patch+yaml":
                    assert request.query["fieldManager"], "the API server wants it"
                    return await self.kube.apply(resource, place, patch)
                return await self.kube.patch(resource, place, name, patch, subresource)
            case method:
                raise AssertionError(f"nobody should {method} here")

    def _page(self, request: web.Request, items: list[Object]) -> Object:
        start = int(request.query.get("continue", 0))
        if start and self.forgets:
            raise NotFound("the continue token has expired")
        rest = items[start:]
        page = rest[: int(request.query.get("limit", len(rest)))]
        metadata = {"resourceVersion": self.kube.version}
        if len(page) < len(rest):
            metadata["continue"] = str(start + len(page))
        return {"metadata": metadata, "items": page}

    async def _watch(
        self, request: web.Request, resource: Resource, namespace: str | None
    ) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        since, told, opened = int(request.query["resourceVersion"]), 0, len(self._history)
        while True:
            for number, (plural, type_, item) in enumerate(self._history[told:], told):
                failed = type_ == "ERROR" and number >= opened
                concerns = plural == resource.plural and _concerns(item, namespace, since)
                if failed or concerns:
                    line = json.dumps({"type": type_, "object": item})
                    await response.write(line.encode() + b"\n")
            told = len(self._history)
            async with self._told:
                await self._told.wait_for(lambda: len(self._history) > told)  # noqa: B023


@asynccontextmanager
async def serve(
    server: ApiServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[None]:
    """Serve, and have a kubeconfig in ``folder`` tell everybody where."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.answer)
    # A watch ends with its client.
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": f"http://{host}:{port}"}}],
        "users": [{"name": "test", "user": {}}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    yield
    await runner.cleanup()


def _concerns(item: Object, namespace: str | None, since: int) -> bool:
    metadata = item["metadata"]
    return int(metadata["resourceVersion"]) > since and namespace in (
        None,
        metadata["namespace"],
    )


def _kind(plural: str, kind: str, namespaced: bool = True) -> dict[str, Any]:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "kind": kind,
        "namespaced": namespaced,
        "verbs": ["list", "watch", "patch"],
    }


_VERSION: Final = {"version": VERSION}
_DISCOVERY: Final[dict[str, Any]] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {
        "resources": [
            _kind("namespaces", "Namespace"),
            _kind("events", "Event"),
            _kind("pods", "Pod"),
            _kind("nodes", "Node", namespaced=False),
        ]
    },
    "/apis": {"groups": [{"name": GROUP, "versions": [_VERSION], "preferredVersion": _VERSION}]},
    f"/apis/{API_VERSION}": {
        "resources": [_kind("voiceagents", "VoiceAgent"), _kind("voicesessions", "VoiceSession")]
    },
}
