"""The operator's process: its parts, put together, and how it starts and stops."""

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial

from prometheus_client import CollectorRegistry
from yarl import URL

from voicepod.assignment.client import PodClient, pod_session
from voicepod.builders.pod import Sidecar
from voicepod.checkpoints import Checkpoints
from voicepod.credentials import CredentialStore
from voicepod.handlers.http import create_app
from voicepod.handlers.intake import Intake
from voicepod.handlers.listing import Listing
from voicepod.handlers.watches import follow_calls, registry_for
from voicepod.kube import client as kube_client
from voicepod.kube.client import Kube
from voicepod.kube.events import Events
from voicepod.kube.lease import Candidate, Election
from voicepod.kube.lists import Lists, insist
from voicepod.kube.watch import watching
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.observability import logs
from voicepod.observability.requests import kube_requests, livekit_requests, pod_requests
from voicepod.process import begin_anew, keep_for_good, serving
from voicepod.reconcile.actor import Actor
from voicepod.reconcile.agents import AgentReconciler
from voicepod.reconcile.claims import Claims
from voicepod.reconcile.drain import BudgetReconciler
from voicepod.reconcile.gauges import Gauges, tell_of_process
from voicepod.reconcile.headroom import HeadroomReconciler
from voicepod.reconcile.loop import Loop, Queue
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.places import Places
from voicepod.reconcile.pool import PoolReconciler
from voicepod.reconcile.rush import Rush
from voicepod.reconcile.sessions import SessionReconciler
from voicepod.reconcile.templates import TemplateBook
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
    metrics, registry = Metrics(world, _now), CollectorRegistry()
    intake, ready = Intake(world, queue, metrics, _now), asyncio.Event()
    async with (
        kube_client.connect(traces=[kube_requests(registry)]) as kube,
        pod_session([pod_requests(registry)]) as pod_http,
        client_session([livekit_requests(registry)]) as livekit_http,
        AsyncExitStack() as stack,
    ):
        election = _election(settings, kube)
        tell_of_process(registry, lambda: election.leads)
        app = create_app(intake, election, ready.is_set, registry)
        # Probes are answered from the start; the watches need what the first list waits for.
        await stack.enter_async_context(serving(app, settings.port))
        listing = partial(Listing, intake, kube, settings.namespaces)
        first = listing()
        lists = Lists(first.first, lambda pause: listing(pause).everything(), listing().few)
        signer = await insist(
            partial(load_signer, kube, settings.namespace, settings.signing_key_secret)
        )
        sidecar = Sidecar(settings.sidecar_image, settings.url, signer.public_key)
        events = Events(kube, "voicepod-operator", _now)
        credentials, rooms = CredentialStore(kube), partial(Rooms, livekit_http)
        pods = PodClient(pod_http, signer)
        templates, claims = TemplateBook(sidecar), Claims(world, kube, _now, metrics)
        actor = Actor(
            world,
            kube,
            pods,
            rooms,
            credentials,
            Checkpoints(kube, pods),
            claims,
            templates,
            _now,
            on_claim=intake.claimed,
        )
        agents = AgentReconciler(
            world,
            kube,
            rooms,
            credentials,
            templates,
            events,
            _now,
            on_ready=intake.sessions_of,
            on_rollout=intake.pool,
        )
        rush = Rush()
        pools = PoolReconciler(world, kube, templates, events, _now, rush)
        places = Places(world, _now, settings.max_sessions, on_turn=intake.turn)
        sessions = SessionReconciler(world, kube, actor, events, _now, metrics, places)
        loop = Loop(
            world,
            queue,
            sessions,
            agents,
            pools,
            BudgetReconciler(world, kube),
            HeadroomReconciler(world, kube, templates),
            metrics,
            rush,
        )

        async def lead() -> None:
            """Stand by until this operator leads; then work."""
            async with asyncio.TaskGroup() as group:
                standing_by = group.create_task(loop.stand_by())
                async with election.term():
                    standing_by.cancel()
                    # One that stands by tells of itself alone: calls would be counted twice.
                    registry.register(metrics.registry)
                    registry.register(Gauges(world, queue, events))
                    # Its watches may be behind what the one before has written last.
                    await lists.since(asyncio.get_running_loop().time())
                    intake.take_over()
                    group.create_task(insist(first.rest))
                    await loop.run()

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(lead()), group.create_task(events.run())]
            # If it leads already, by the time that everything is listed, it need not list it again.
            await election.asked.wait()
            await lists.once()
            keep_for_good()
            async with watching(registry_for(intake), settings.namespaces) as stop:
                tasks += [
                    group.create_task(follow_calls(kube, settings.namespaces, intake, lists)),
                    group.create_task(lists.again()),
                ]
                ready.set()
                logger.info("the operator is ready")
                await stop.wait()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)


def _election(settings: OperatorSettings, kube: Kube) -> Election:
    url = URL.build(scheme="http", host=settings.pod_ip, port=settings.port)
    return Election(
        kube,
        (settings.namespace, settings.lease),
        Candidate(settings.pod_name, str(url)),
        _now,
        # Not by way of the event loop: another operator may lead in three seconds, and what is
        # under way here would take longer to be told of it. Whatever it had begun the other one
        # finds, and goes on with: that is so after any kill.
        on_loss=begin_anew,
    )
