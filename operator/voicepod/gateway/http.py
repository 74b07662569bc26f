"""The gateway's HTTP port: webhooks, probes, metrics."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from voicepod.gateway.directory import Directory
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.reception import Reception
from voicepod.gateway.seldom import Seldom
from voicepod.kube.errors import KubeError, NotFound, Refused
from voicepod.livekit.errors import LiveKitError
from voicepod.livekit.webhooks import InvalidSignatureError, MalformedEventError, parse

logger = logging.getLogger(__name__)

# An event is one to a few kilobytes; a room's metadata may make it larger.
_MAX_BODY: Final = 1024 * 1024

# How many webhooks may be under way at once: as many as requests to the API server, and with
# bodies of the largest size they still fit into the memory of a small pod.
_MAX_UNDER_WAY: Final = 64

# In seconds, for the body to arrive; whoever dawdles must not keep a place from LiveKit.
_READ_TIMEOUT: Final = 5.0

# In seconds, between two logs of refused webhooks: anybody can cause them.
_LOG_PERIOD: Final = 60.0


class NotTakenError(Exception):
    """A webhook is not looked into; the message says why."""

    def __init__(self, outcome: Outcome, message: str) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(slots=True)
class Webhooks:
    """``POST /livekit/webhook``: bounds, signature, and what became of it in HTTP's words."""

    directory: Directory
    keyring: Keyring
    reception: Reception
    metrics: Metrics
    _under_way: int = 0
    _log: Seldom = field(default_factory=lambda: Seldom(_LOG_PERIOD))

    async def post(self, request: web.Request) -> web.Response:
        """Answer one webhook."""
        arrived = time.perf_counter()
        event, message = "", ""
        self._under_way += 1
        try:
            body = await self._read(request)
            signer = await self.keyring.verify(body, request.headers.get("Authorization", ""))
            parsed = parse(body)
            event = parsed.event
            outcome = await self.reception.take(parsed, signer)
        except (
            NotTakenError,
            InvalidSignatureError,
            MalformedEventError,
            KubeError,
            LiveKitError,
        ) as error:
            outcome, message = _outcome_of(error), str(error)
        finally:
            self._under_way -= 1
        if outcome is Outcome.ENDING:
            message = "the room's session is saying goodbye; there can be a new one after it"
        self.metrics.webhook(event, outcome, time.perf_counter() - arrived)
        if not message:
            return web.json_response({"outcome": outcome.label})
        if self._log.allows(outcome):
            logger.warning("a webhook was answered with %d: %s", outcome.status, message)
        return web.json_response({"error": message}, status=outcome.status)

    async def _read(self, request: web.Request) -> bytes:
        if not self.directory.filled:
            raise NotTakenError(
                Outcome.UNAVAILABLE, "VoiceAgents and VoiceSessions are being listed"
            )
        if self._under_way > _MAX_UNDER_WAY:
            raise NotTakenError(Outcome.BUSY, f"{_MAX_UNDER_WAY} webhooks are under way already")
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise NotTakenError(
                Outcome.TOO_LARGE, f"the body is larger than {_MAX_BODY} bytes"
            ) from None
        except TimeoutError:
            raise NotTakenError(
                Outcome.TOO_SLOW, f"the body did not arrive within {_READ_TIMEOUT:.0f} s"
            ) from None


def _outcome_of(error: Exception) -> Outcome:
    match error:
        case NotTakenError():
            return error.outcome
        case InvalidSignatureError():
            return Outcome.UNAUTHORIZED
        case MalformedEventError():
            return Outcome.MALFORMED
        case Refused() | NotFound():
            return Outcome.REFUSED
        case _:
            return Outcome.UNAVAILABLE


def create_app(webhooks: Webhooks) -> web.Application:
    """Return the application."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        if not webhooks.directory.filled:
            raise web.HTTPServiceUnavailable(text="VoiceAgents and VoiceSessions are being listed")
        return web.Response(text="ok")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(webhooks.metrics.registry),
            headers={"Content-Type": CONTENT_TYPE_LATEST},
        )

    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(
        [
            web.post("/livekit/webhook", webhooks.post),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    return app
