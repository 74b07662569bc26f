"""The gateway's HTTP port: webhooks, tokens, probes, metrics."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from voicepod.gateway.directory import Directory
from voicepod.gateway.tokens import Tokens
from voicepod.gateway.webhooks import Webhooks


def create_app(
    directory: Directory, registry: CollectorRegistry, webhooks: Webhooks, tokens: Tokens | None
) -> web.Application:
    """Return the application; without ``tokens`` nobody gets one."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(_: web.Request) -> web.Response:
        if not directory.filled:
            raise web.HTTPServiceUnavailable(text="VoiceAgents and VoiceSessions are being listed")
        return web.Response(text="ok")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def no_tokens(_: web.Request) -> web.Response:
        error = "the token endpoint is off: the chart's gateway.tokens.auth says who may have one"
        return web.json_response({"error": error}, status=404)

    app = web.Application()
    app.add_routes(
        [
            web.post("/livekit/webhook", webhooks.post),
            web.post("/token", tokens.post if tokens else no_tokens),
            web.get("/healthz", healthz),
            web.get("/readyz", readyz),
            web.get("/metrics", metrics),
        ]
    )
    if tokens:
        app.add_routes([web.options("/token", tokens.preflight)])
    return app
