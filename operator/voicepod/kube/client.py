"""Reads and writes of the Kubernetes API by the official client, without its models.

The client's models cost ten times the parsing of plain JSON, and so only its transport is used:
configuration, TLS, tokens that are rotated, connection pooling.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Collection,
    Coroutine,
    Iterator,
    Sequence,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import aiohttp
import orjson
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from voicepod.api.names import AGENTS, GROUP, MANAGED_BY, SESSIONS, VERSION
from voicepod.kube.errors import KubeError, NotFound, Unavailable, from_status

T = TypeVar("T")

Object = dict[str, Any]

# A healthy API server answers in milliseconds; one that is being restarted, not at all. Half a
# minute of waiting would hold up a caller for longer than trying again does.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

# The API server marks its place in each watch once a minute: one that is silent for longer is dead.
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=70)

# How many requests may be on their way at once: enough for a burst of calls, and no more than one
# API server's priority level is willing to queue for a single client.
_CONNECTIONS: Final = 64

# Objects in one page of a list. A pod has some 6 KB of JSON, and its parsing takes 0.1 ms: no call
# waits for longer than 10 ms while thousands are listed.
PAGE: Final = 100

_MERGE_PATCH: Final = "application/merge-patch+json"

# Compression is for slow networks. The API server's own is: each event of a watch, once for each
# watcher, takes it as long as all else that it does to tell of it.
_PLAIN: Final = {"Accept": "*/*", "Accept-Encoding": "identity"}

# JSON is YAML.
_APPLY_PATCH: Final = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Resource:
    """Where objects of one kind live."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL path of one object, or of all objects when it has no name."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return "/".join(
            part for part in (f"{root}{scope}/{self.plural}", name, subresource) if part
        )


class Page(NamedTuple):
    """Some objects of a list."""

    items: list[Object]
    version: str
    """The resourceVersion of the moment that all of the list is of."""


VOICE_AGENTS: Final = Resource(GROUP, VERSION, AGENTS)
VOICE_SESSIONS: Final = Resource(GROUP, VERSION, SESSIONS)
PODS: Final = Resource("", "v1", "pods")
SECRETS: Final = Resource("", "v1", "secrets")
EVENTS: Final = Resource("", "v1", "events")
NODES: Final = Resource("", "v1", "nodes")
BUDGETS: Final = Resource("policy", "v1", "poddisruptionbudgets")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")

CORDONED: Final = "spec.unschedulable=true"
"""The field selector of nodes that take no new pods."""


def scopes(namespaces: Collection[str]) -> Collection[str | None]:
    """Return the namespaces to ask for one after the other; None, for all, where none is named."""
    everywhere: Collection[str | None] = [None]
    return namespaces or everywhere


class Kube:
    """The Kubernetes API. Every method raises an exception of ``voicepod.kube.errors``."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        """Return one object."""
        return _parsed(await self._request("GET", resource.path(namespace, name)))

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
    ) -> list[Object]:
        """Return all objects of a namespace, or of the cluster."""
        pages = self.pages(resource, namespace, label_selector, field_selector)
        return [item async for page in pages for item in page.items]

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        pause: float = 0.0,
        size: int = PAGE,
    ) -> AsyncGenerator[Page, None]:
        """Yield all objects of a namespace, or of the cluster, as they were at one moment.

        A page of so many at a time: the API server has to send, and we to keep, few of them at
        once. The next one is asked for while the last is looked at, or ``pause`` seconds after it
        has come.
        """
        selectors = (("labelSelector", label_selector), ("fieldSelector", field_selector))
        query = [(name, selector) for name, selector in selectors if selector]
        query.append(("limit", str(size)))
        path = resource.path(namespace)
        answer = _parsed(await self._request("GET", path, query=query))
        while token := answer["metadata"].get("continue"):
            async with _meanwhile(self._continue(path, query, token, pause)) as following:
                yield _page(answer)
                answer = await following
        yield _page(answer)

    async def _continue(
        self, path: str, query: list[tuple[str, str]], token: str, pause: float
    ) -> Object:
        if pause:
            # Not for no time at all: it would be asked for only after the last one was looked at.
            await asyncio.sleep(pause)
        try:
            return _parsed(await self._request("GET", path, query=[*query, ("continue", token)]))
        except NotFound as error:
            # The moment is too long ago by now.
            raise Unavailable(f"a list took too long: {error}") from error

    async def changes(
        self, resource: Resource, namespace: str | None, label_selector: str, version: str
    ) -> AsyncGenerator[tuple[str, Object], None]:
        """Yield what changes after a resourceVersion, each with the type of the event.

        After version "0" it is all that there is, and then what changes. Ends when the API server
        ends it, as it does now and then.
        """
        query = [("watch", "true"), ("allowWatchBookmarks", "true")]
        query += [("labelSelector", label_selector), ("resourceVersion", version)]
        path = resource.path(namespace)
        with _failures():
            answer = await self._send("GET", path, query=query, limits=_WATCH_TIMEOUT)
            if answer.status >= 400:
                raise await _refusal(answer)
            async with answer:
                async for line in _lines(answer.content):
                    event = orjson.loads(line)
                    yield event["type"], event["object"]

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        """Create an object and return it as the API server made it."""
        query = [("dryRun", "All")] if dry_run else []
        return _parsed(
            await self._request("POST", resource.path(namespace), body=body, query=query)
        )

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        """Merge ``body`` into an object.

        A ``metadata.resourceVersion`` in it is a precondition: Conflict when it has changed.
        """
        path = resource.path(namespace, name, subresource)
        return _parsed(await self._request("PATCH", path, body=body, content_type=_MERGE_PATCH))

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        """Have an object be as ``body`` says, be it there or not (server-side apply).

        What the last apply set and ``body`` lacks goes; what others set beside it stays.
        """
        path = resource.path(namespace, body["metadata"]["name"])
        query = [("fieldManager", MANAGED_BY), ("force", "true")]
        return _parsed(
            await self._request("PATCH", path, body=body, query=query, content_type=_APPLY_PATCH)
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        version: int | None = None,
        grace: int | None = None,
    ) -> None:
        """Delete the object with this name and uid; Conflict when another one has the name now.

        With ``version``, its resourceVersion, Conflict as well when it has changed. ``grace``, in
        seconds, is instead of a pod's own.
        """
        preconditions = {"uid": uid}
        if version is not None:
            preconditions["resourceVersion"] = str(version)
        body: Object = {"preconditions": preconditions}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        await self._request("DELETE", resource.path(namespace, name), body=body)

    async def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        """Return the last lines of a container's log."""
        path = PODS.path(namespace, pod, "log")
        query = [("container", container), ("tailLines", str(lines))]
        return (await self._request("GET", path, query=query)).decode(errors="replace")

    async def _request(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        with _failures():
            answer = await self._send(method, path, body, query, content_type)
            if answer.status >= 400:
                raise await _refusal(answer)
            return await answer.read()

    async def _send(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        query: list[tuple[str, str]] | None = None,
        content_type: str = "application/json",
        limits: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> aiohttp.ClientResponse:
        # Without the body, which is plain JSON already: the client would look for models in it.
        method, url, headers, _, form = await self._client.param_serialize(
            method,
            path,
            query_params=query,
            header_params={**_PLAIN, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        answer = await self._client.call_api(
            method, url, headers, body, form, _request_timeout=limits
        )
        raw: aiohttp.ClientResponse = answer.response
        return raw


@contextmanager
def _failures() -> Iterator[None]:
    """Raise Unavailable for whatever keeps an answer from coming, or from its end."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(f"the Kubernetes API is not reachable: {error!r}") from error


async def _refusal(answer: aiohttp.ClientResponse) -> KubeError:
    return from_status(answer.status, _message(await answer.read()) or str(answer.reason))


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the lines of a body, however long they are, and what comes after the last of them.

    aiohttp's own are at most 128 KiB long, and the JSON of a session can be more.
    """
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            line = b"".join((*parts, end))
            parts.clear()
            yield line
        parts.append(rest)
    if line := b"".join(parts):
        yield line


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Have some work begin, and be under way while the body runs."""
    task = asyncio.create_task(work)
    try:
        await asyncio.sleep(0)
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _page(answer: Object) -> Page:
    return Page(answer["items"], answer["metadata"]["resourceVersion"])


def _parsed(data: bytes) -> Object:
    answer: Object = orjson.loads(data)
    return answer


def _message(data: bytes) -> str:
    try:
        return str(orjson.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data.decode(errors="replace")[:1024]


@asynccontextmanager
async def connect(
    kubeconfig: Path | None = None, traces: Sequence[aiohttp.TraceConfig] = ()
) -> AsyncIterator[Kube]:
    """Connect as the pod's service account, or as a kubeconfig says outside of a cluster.

    Without ``kubeconfig`` it is the one that kubectl would use. ``traces`` are told of requests.
    """
    configuration = Configuration()
    try:
        load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException:
        await load_kube_config(  # type: ignore[no-untyped-call]
            config_file=str(kubeconfig) if kubeconfig else None,
            client_configuration=configuration,
        )
    configuration.connection_pool_maxsize = _CONNECTIONS
    configuration.trace_configs = list(traces)
    # Or each request would wait for two threads that look for a proxy and a ~/.netrc.
    configuration.client_session_kwargs = {"trust_env": False}
    async with ApiClient(configuration) as client:
        # By it the API server tells, in an audit log and in managedFields, who has written.
        client.user_agent = MANAGED_BY
        yield Kube(client)
