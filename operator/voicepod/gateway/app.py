"""The gateway's process: its parts, put together, and how it starts and stops."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial

import aiohttp

from voicepod.api.durations import seconds
from voicepod.gateway.directory import Directory
from voicepod.gateway.hints import Hints
from voicepod.gateway.hook import Admission, Hook, anonymous, hook_session
from voicepod.gateway.http import create_app
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.notices import Notices
from voicepod.gateway.origins import Origins
from voicepod.gateway.preparation import Preparation
from voicepod.gateway.reception import Reception
from voicepod.gateway.sessions import Sessions
from voicepod.gateway.sweep import Sweep
from voicepod.gateway.tokens import Tokens, token_door
from voicepod.gateway.watches import registry_for
from voicepod.gateway.webhooks import Webhooks, webhook_door
from voicepod.kube import client as kube_client
from voicepod.kube.client import VOICE_SESSIONS
from voicepod.kube.events import Events
from voicepod.kube.follow import follow
from voicepod.kube.lists import Lists
from voicepod.kube.watch import watching
from voicepod.livekit import rooms
from voicepod.livekit.rooms import Rooms
from voicepod.observability import logs
from voicepod.observability.requests import kube_requests, livekit_requests
from voicepod.process import keep_for_good, serving
from voicepod.settings import GatewaySettings

logger = logging.getLogger(__name__)


async def run(settings: GatewaySettings) -> None:
    """Run the gateway until SIGTERM or SIGINT."""
    logs.configure(settings.log_level)
    directory, metrics = Directory(), Metrics()
    async with (
        kube_client.connect(traces=[kube_requests(metrics.registry)]) as kube,
        rooms.client_session([livekit_requests(metrics.registry)]) as http,
        hook_session() as hook_http,
        aiohttp.ClientSession() as operator_http,
    ):
        fill = partial(directory.fill, kube, settings.namespaces)
        lists = Lists(fill, fill, partial(directory.fill_few, kube, settings.namespaces))
        keyring = Keyring(kube, directory)
        events = Events(kube, "voicepod-gateway", lambda: datetime.now(UTC))
        sessions = Sessions(kube, directory, Notices(events))
        hints = Hints(operator_http, settings.operator_url)
        reception = Reception(kube, directory, keyring, partial(Rooms, http), sessions, hints)
        sweep = Sweep(directory, keyring, partial(Rooms, http), reception, metrics)
        webhooks = Webhooks(webhook_door(directory), keyring, reception, metrics)
        admission = _admission(settings, hook_http)
        tokens = admission and Tokens(
            token_door(directory),
            Origins(settings.token_origins),
            admission,
            directory,
            keyring,
            Preparation(directory, keyring, sessions, seconds(settings.token_wait)),
            metrics,
        )
        app = create_app(directory, metrics.registry, webhooks, tokens)
        # Probes are answered from the start; the watches need what the first list waits for.
        async with serving(app, settings.port):
            await lists.once()
            keep_for_good()
            async with (
                watching(registry_for(directory), settings.namespaces) as stop,
                asyncio.TaskGroup() as group,
            ):
                tasks = [
                    group.create_task(keyring.run()),
                    group.create_task(events.run()),
                    group.create_task(
                        follow(
                            kube,
                            VOICE_SESSIONS,
                            settings.namespaces,
                            directory.see_session,
                            lists=lists,
                        )
                    ),
                    group.create_task(lists.again()),
                    group.create_task(sweep.run()),
                ]
                logger.info("the gateway is ready")
                await stop.wait()
                for task in tasks:
                    task.cancel()


def _admission(settings: GatewaySettings, http: aiohttp.ClientSession) -> Admission | None:
    """Return who says who may have a token; None: nobody may."""
    match settings.token_auth:
        case "hook":
            return Hook(http, str(settings.token_hook_url))
        case "anonymous":
            logger.warning("anybody who reaches this port may have a token: tokens are anonymous")
            return anonymous
        case _:
            return None
