"""The sidecar's process: its parts, put together, and how it starts and stops."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from aiohttp import web

from voicepod.assignment.ports import AGENT_PORT, OPERATOR_PORT
from voicepod.assignment.signing import Verifier
from voicepod.sidecar import logs, operator_api
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.room_service import RoomService
from voicepod.sidecar.runtime_api import RuntimeApi
from voicepod.sidecar.settings import Settings, SettingsError
from voicepod.sidecar.store import Store
from voicepod.sidecar.supervisor import Supervisor
from voicepod.sidecar.worker import WorkerEndpoint

logger = logging.getLogger(__name__)

# Seconds that requests under way get when the process stops: the long ones wait for the job, which
# has ended by then.
_SHUTDOWN_TIMEOUT: Final = 1.0


async def run() -> None:
    """Run the sidecar until SIGTERM or SIGINT, which end the job first."""
    logs.configure()
    try:
        settings = Settings.from_environment()
        verifier = Verifier(settings.operator_public_key, settings.pod_uid)
        store = Store(settings.redis_url, settings.checkpoint_ttl) if settings.redis_url else None
    except (SettingsError, ValueError) as error:
        sys.exit(f"voicepod sidecar: {error}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(settings, verifier, store, AGENT_PORT, OPERATOR_PORT) as supervisor:
        await stop.wait()
        await supervisor.end_and_wait("the pod is being stopped")
        await supervisor.hand_over()


async def _no_room(_: web.Request) -> web.Response:
    """Refuse an agent that joins a room here: one that rehearses it, before it has a call."""
    return web.Response(status=401, text="no room is here: the job's own URL and token lead to it")


@contextlib.asynccontextmanager
async def serving(
    settings: Settings,
    verifier: Verifier,
    store: Store | None,
    agent_port: int,
    operator_port: int,
) -> AsyncIterator[Supervisor]:
    """Serve the agent on the loopback, and operator and kubelet on all interfaces."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        hints = Hints(http, settings.operator_url, settings.pod_namespace, settings.pod_name)
        stack.push_async_callback(hints.close)
        if store:
            stack.push_async_callback(store.close)
        supervisor = Supervisor(http, hints, store)
        for_agent = web.Application()
        for_agent.add_routes(
            [
                web.get("/agent", WorkerEndpoint(supervisor).connect),
                web.get("/rtc/{rest:.*}", _no_room),
                web.post("/twirp/{service}/{method}", RoomService(supervisor).call),
                *RuntimeApi(supervisor, settings.agent_key).routes(),
            ]
        )
        for_operator = operator_api.create_app(supervisor, verifier, settings.stop_key)
        for app, host, port in (
            (for_agent, "127.0.0.1", agent_port),
            (for_operator, None, operator_port),
        ):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_TIMEOUT)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, host, port).start()
        # Last in, first out: the agent's websocket is closed before its server is.
        stack.push_async_callback(supervisor.close)
        logger.info("waiting for the agent on port %d", agent_port)
        yield supervisor
