"""The operator's process: its parts, put together, and how it starts and stops."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from aiohttp import web

from voicepod.assignment.client import PodClient, pod_session
from voicepod.builders.pod import Sidecar
from voicepod.credentials import CredentialStore
from voicepod.handlers.http import create_app
from voicepod.handlers.intake import Intake
from voicepod.handlers.watches import registry_for
from voicepod.kube import client as kube_client
from voicepod.kube.client import Kube
from voicepod.kube.errors import KubeError
from voicepod.kube.events import Events
from voicepod.kube.watch import watching
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.observability import logs
from voicepod.reconcile.actor import Actor
from voicepod.reconcile.agents import AgentReconciler
from voicepod.reconcile.loop import Loop, Queue
from voicepod.reconcile.sessions import SessionReconciler
from voicepod.reconcile.world import World
from voicepod.settings import OperatorSettings
from voicepod.signing_key import load_signer

logger = logging.getLogger(__name__)

# A watch that starts anew does not tell what was deleted meanwhile; a list of everything does.
# It costs the API server little at this rate, and nothing urgent hangs on it.
_RELIST: Final = 300.0

# How long to wait until the API server, the CRDs or the rights are there, in seconds.
_START_RETRY: Final = 2.0


def _now() -> datetime:
    return datetime.now(UTC)


async def run() -> None:
    """Run the operator until SIGTERM or SIGINT."""
    settings = OperatorSettings()
    logs.configure(settings.log_level)
    world, queue = World(), Queue()
    intake, ready = Intake(world, queue), asyncio.Event()
    async with (
        kube_client.connect() as kube,
        pod_session() as pod_http,
        client_session() as livekit_http,
        # Probes are answered from the start; the rest needs what the first list waits for.
        _serving(create_app(intake, ready.is_set), settings.port),
    ):
        await _until_filled(intake, kube, settings)
        signer = await load_signer(kube, settings.namespace, settings.signing_key_secret)
        sidecar = Sidecar(settings.sidecar_image, settings.url, signer.public_key)
        events = Events(kube, "voicepod-operator", _now)
        credentials, rooms = CredentialStore(kube), partial(Rooms, livekit_http)
        pods = PodClient(pod_http, signer)
        actor = Actor(world, kube, pods, rooms, credentials, sidecar, _now)
        agents = AgentReconciler(
            world, kube, rooms, credentials, sidecar, events, _now, intake.sessions_of
        )
        loop = Loop(queue, SessionReconciler(world, kube, actor, events, _now), agents)
        async with (
            watching(registry_for(intake), settings.namespaces) as stop,
            asyncio.TaskGroup() as group,
        ):
            tasks = [
                group.create_task(loop.run()),
                group.create_task(events.run()),
                group.create_task(_relist(intake, kube, settings)),
            ]
            ready.set()
            logger.info("the operator is ready")
            await stop.wait()
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def _serving(app: web.Application, port: int) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()


async def _until_filled(intake: Intake, kube: Kube, settings: OperatorSettings) -> None:
    while True:
        try:
            await intake.fill(kube, settings.namespaces)
        except KubeError as error:
            logger.warning("cannot list what there is: %s", error)
            await asyncio.sleep(_START_RETRY)
        else:
            return


async def _relist(intake: Intake, kube: Kube, settings: OperatorSettings) -> None:
    while True:
        await asyncio.sleep(_RELIST)
        with contextlib.suppress(KubeError):
            await intake.fill(kube, settings.namespaces)
