"""The gateway's process: its parts, put together, and how it starts and stops."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from aiohttp import web

from voicepod.gateway.directory import Directory
from voicepod.gateway.http import Webhooks, create_app
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.notices import Notices
from voicepod.gateway.reception import Reception
from voicepod.gateway.watches import registry_for
from voicepod.kube import client as kube_client
from voicepod.kube.client import Kube
from voicepod.kube.errors import KubeError
from voicepod.kube.events import Events
from voicepod.kube.watch import watching
from voicepod.livekit import rooms
from voicepod.livekit.rooms import Rooms
from voicepod.observability import logs
from voicepod.settings import GatewaySettings

logger = logging.getLogger(__name__)

# In seconds. A watch that starts anew does not tell what was deleted meanwhile; a list of
# everything does. Nothing urgent hangs on it.
_RELIST: Final = 300.0

# In seconds, until the API server, the CRDs or the rights are looked for again.
_RETRY: Final = 2.0

# In seconds, for webhooks that are under way when the process is told to stop. A request to the
# API server takes ten at most, and Kubernetes gives a pod thirty.
_SHUTDOWN: Final = 15.0


async def run(settings: GatewaySettings) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    logs.configure(settings.log_level)
    async with kube_client.connect() as kube, rooms.client_session() as http:
        directory, metrics = Directory(), Metrics()
        keyring = Keyring(kube, directory)
        events = Events(kube, "voicepod-gateway", lambda: datetime.now(UTC))
        reception = Reception(kube, directory, keyring, partial(Rooms, http), Notices(events))
        app = create_app(Webhooks(directory, keyring, reception, metrics))
        # Probes are answered from the start; the watches need what the first list waits for.
        async with _serving(app, settings.port):
            await _until_filled(directory, kube, settings)
            async with (
                watching(registry_for(directory), settings.namespaces) as stop,
                asyncio.TaskGroup() as group,
            ):
                tasks = [
                    group.create_task(keyring.run()),
                    group.create_task(events.run()),
                    group.create_task(_relist(directory, kube, settings)),
                ]
                logger.info("the gateway is ready")
                await stop.wait()
                for task in tasks:
                    task.cancel()


@asynccontextmanager
async def _serving(app: web.Application, port: int) -> AsyncIterator[None]:
    """Serve the application; at the end, let the requests under way finish."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


async def _until_filled(directory: Directory, kube: Kube, settings: GatewaySettings) -> None:
    while not directory.filled:
        try:
            await directory.fill(kube, settings.namespaces)
        except KubeError as error:
            logger.warning("cannot list what there is: %s", error)
            await asyncio.sleep(_RETRY)


async def _relist(directory: Directory, kube: Kube, settings: GatewaySettings) -> None:
    while True:
        await asyncio.sleep(_RELIST)
        try:
            await directory.fill(kube, settings.namespaces)
        except KubeError as error:
            logger.warning("cannot list what there is: %s", error)
