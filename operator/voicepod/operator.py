"""The operator's process: its parts, put together, and how it starts and stops."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

from voicepod.assignment.client import PodClient, pod_session
from voicepod.builders.pod import Sidecar
from voicepod.credentials import CredentialStore
from voicepod.handlers.http import create_app
from voicepod.handlers.intake import Intake
from voicepod.handlers.watches import registry_for
from voicepod.kube import client as kube_client
from voicepod.kube.events import Events
from voicepod.kube.watch import watching
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.observability import logs
from voicepod.process import fill_again, fill_first, serving
from voicepod.reconcile.actor import Actor
from voicepod.reconcile.agents import AgentReconciler
from voicepod.reconcile.claims import Claims
from voicepod.reconcile.loop import Loop, Queue
from voicepod.reconcile.pool import PoolReconciler
from voicepod.reconcile.sessions import SessionReconciler
from voicepod.reconcile.world import World
from voicepod.settings import OperatorSettings
from voicepod.signing_key import load_signer

logger = logging.getLogger(__name__)


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
        serving(create_app(intake, ready.is_set), settings.port),
    ):
        fill = partial(intake.fill, kube, settings.namespaces)
        await fill_first(fill)
        signer = await load_signer(kube, settings.namespace, settings.signing_key_secret)
        sidecar = Sidecar(settings.sidecar_image, settings.url, signer.public_key)
        events = Events(kube, "voicepod-operator", _now)
        credentials, rooms = CredentialStore(kube), partial(Rooms, livekit_http)
        pods = PodClient(pod_http, signer)
        claims = Claims(world, kube, sidecar, _now, intake.pool)
        actor = Actor(world, kube, pods, rooms, credentials, claims, sidecar, _now)
        agents = AgentReconciler(
            world, kube, rooms, credentials, sidecar, events, _now, intake.sessions_of
        )
        pools = PoolReconciler(world, kube, sidecar, events, _now)
        loop = Loop(queue, SessionReconciler(world, kube, actor, events, _now), agents, pools)
        async with (
            watching(registry_for(intake), settings.namespaces) as stop,
            asyncio.TaskGroup() as group,
        ):
            tasks = [
                group.create_task(loop.run()),
                group.create_task(events.run()),
                group.create_task(fill_again(fill)),
            ]
            ready.set()
            logger.info("the operator is ready")
            await stop.wait()
            for task in tasks:
                task.cancel()
