"""The operator's HTTP port: hints of sidecars and gateways, probes, metrics.

``/healthz`` says that the process answers, ``/readyz`` that it knows what there is, be it to lead
or to stand by: an upgrade must not wait for a standby to lead. So the Service has both, and an
operator that stands by sends hints on to the one that leads, by a redirect, as Vault's standbys do.
In that way only the Lease says who leads. A label of the leader's pod, for a Service to select,
would speak of the past until it and every node's rules are changed, and needs a right to pods.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from voicepod.handlers.intake import Intake
from voicepod.kube.lease import Election

_LISTING: Final = "VoiceSessions and their pods are being listed"

# A hint is two names.
_MAX_BODY: Final = 1024


def create_app(
    intake: Intake, election: Election, ready: Callable[[], bool], registry: CollectorRegistry
) -> web.Application:
    """Return the application; ``ready`` tells whether the operator knows what there is."""

    async def hint(request: web.Request) -> web.Response:
        if not election.leads:
            if election.leader_url:
                raise web.HTTPTemporaryRedirect(f"{election.leader_url}{request.path}")
            raise web.HTTPServiceUnavailable(text="no operator leads at the moment")
        if not ready():
            raise web.HTTPServiceUnavailable(text=_LISTING)
        # Whoever sends a hint makes the operator ask a pod it knows, or LiveKit about the room of a
        # session it knows, and nothing else. So a hint needs no signature.
        try:
            body = json.loads(await request.read())
            (kind,) = body.keys() & {"pod", "session"}
            key = str(body["namespace"]), str(body[kind])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise web.HTTPBadRequest(
                text="a hint is an object with 'namespace', and 'pod' or 'session'"
            ) from None
        taken = intake.hint(key) if kind == "pod" else intake.room_hint(key)
        if kind == "pod" and not taken and intake.world.unlisted:
            raise web.HTTPServiceUnavailable(text=_LISTING)
        if not taken:
            raise web.HTTPNotFound(text=f"no session that goes on has this {kind}")
        return web.Response(status=202)

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        if not ready():
            raise web.HTTPServiceUnavailable(text=_LISTING)
        return web.Response(text="ok")

    async def metrics(_: web.Request) -> web.Response:
        # In a thread: a hundred VoiceAgents make tens of thousands of lines, and no call shall wait
        # while they are written.
        text = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(
        [
            web.post("/hint", hint),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app
