"""Times the requests to each outside system, by what aiohttp tells of the requests of a session.

Labels hold what our own code chooses: a verb, a kind, a method. Of a path only that part is read.
"""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp import TraceConfig
from prometheus_client import CollectorRegistry, Histogram
from yarl import URL

# In seconds: all three answer within milliseconds, and none is waited for longer than ten seconds.
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)

# In place of a status where none came: not reachable, cut off, or not in time.
_NO_ANSWER: Final = "none"

_VERBS: Final = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}


def kube_requests(registry: CollectorRegistry) -> TraceConfig:
    """Return what times the requests of a session to the Kubernetes API."""
    return _timed(
        registry,
        "voicepod_kube_request_seconds",
        "Requests to the Kubernetes API but for kopf's, by verb, resource and status.",
        ("verb", "resource"),
        kube_labels,
    )


def livekit_requests(registry: CollectorRegistry) -> TraceConfig:
    """Return what times the requests of a session to LiveKit."""
    return _timed(
        registry,
        "voicepod_livekit_request_seconds",
        "Requests to LiveKit's API, by method and status.",
        ("method",),
        _last_part,
    )


def pod_requests(registry: CollectorRegistry) -> TraceConfig:
    """Return what times the requests of a session to agent pods."""
    return _timed(
        registry,
        "voicepod_pod_request_seconds",
        "Requests to the sidecars of agent pods, by act and status.",
        ("act",),
        _last_part,
    )


def kube_labels(method: str, url: URL) -> tuple[str, ...]:
    """Return verb and resource of a request, such as ``patch`` and ``voicesessions/status``.

    What is only tried has the verb ``dry-run``.
    """
    parts = url.path.strip("/").split("/")
    # The core group, /api/v1, has no name of its own.
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[0] == "namespaces":
        parts = parts[2:]
    plural, name, subresource = (*parts, "", "")[:3]
    if method == "GET":
        verb = "get" if name else "watch" if "watch" in url.query else "list"
    else:
        verb = "dry-run" if "dryRun" in url.query else _VERBS[method]
    return verb, f"{plural}/{subresource}" if subresource else plural


def _last_part(_: str, url: URL) -> tuple[str, ...]:
    return (url.name,)


def _timed(
    registry: CollectorRegistry,
    name: str,
    what: str,
    labels: tuple[str, ...],
    read: Callable[[str, URL], tuple[str, ...]],
) -> TraceConfig:
    """Return what observes each request in a histogram, until the head of its answer is there.

    ``read`` tells the values of ``labels`` by a request's method and URL; its status comes on top.
    """
    histogram = Histogram(name, what, (*labels, "code"), buckets=_BUCKETS, registry=registry)

    async def begin(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestStartParams
    ) -> None:
        context.began = time.perf_counter()

    async def answered(
        _: aiohttp.ClientSession, context: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        observe(context, end.method, end.url, str(end.response.status))

    async def failed(
        _: aiohttp.ClientSession, context: SimpleNamespace, end: aiohttp.TraceRequestExceptionParams
    ) -> None:
        observe(context, end.method, end.url, _NO_ANSWER)

    def observe(context: SimpleNamespace, method: str, url: URL, code: str) -> None:
        seconds = time.perf_counter() - context.began
        histogram.labels(*read(method, url), code).observe(seconds)

    trace = TraceConfig()
    trace.on_request_start.append(begin)
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    return trace
