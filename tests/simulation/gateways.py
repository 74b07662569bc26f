"""The gateways: each runs, whatever happens to it, and then another one in its place."""

import asyncio
import base64
import hashlib
from functools import partial
from itertools import count
from typing import Any, Final

import jwt
from aiohttp import web

from tests.simulation.doors import KubeDoor, RoomsDoor
from tests.simulation.feed import Feed
from tests.simulation.http import Answer, Http
from tests.simulation.operators import TracedEvents
from tests.simulation.process import Odds, Process
from tests.simulation.scene import Scene, unix
from tests.support.hours import now
from voicepod.gateway.directory import Directory
from voicepod.gateway.hints import Hints
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.notices import Notices
from voicepod.gateway.reception import Reception
from voicepod.gateway.sessions import Sessions
from voicepod.gateway.sweep import Sweep
from voicepod.gateway.webhooks import Webhooks, webhook_door
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS
from voicepod.kube.lists import Lists

KEY: Final = "key"
SECRET: Final = "a-secret-of-at-least-32-characters"

# In seconds, until the next one runs.
_RESTART: Final = (1.0, 10.0)


class Gateway:
    """One replica of the gateway's Deployment."""

    def __init__(self, scene: Scene, number: int) -> None:
        self._scene, self._number = scene, number
        self._processes: list[Process] = []
        self._webhooks: Webhooks | None = None

    async def run(self) -> None:
        """Keep one running. Raises what one fails with."""
        scene = self._scene
        chance = scene.chance(f"gateways-{self._number}")
        for generation in count(1):
            name = f"gateway-{self._number}.{generation}"
            # All are kept: what a dead one awaits for ever must not be forgotten, and so woken.
            process = Process(
                name, scene.chance(name), scene.trace, lambda: scene.weather.gateway_killed
            )
            self._processes.append(process)
            await process.run(self._main(process))
            self._webhooks = None
            await asyncio.sleep(chance.between(*_RESTART))

    async def _main(self, process: Process) -> None:
        """What ``gateway.app.run`` does."""
        scene, kube = self._scene, KubeDoor(process, self._scene)
        directory = Directory(unix)
        keyring = Keyring(kube, directory, now)
        sessions = Sessions(kube, directory, Notices(TracedEvents(process, kube)))
        http: Any = Http({"http://operator/hint": partial(self._hint, process)})
        rooms = partial(RoomsDoor.of, process, scene)
        hints = Hints(http, "http://operator")
        reception = Reception(kube, directory, keyring, rooms, sessions, hints, unix)
        metrics = Metrics()
        self._webhooks = Webhooks(webhook_door(directory), keyring, reception, metrics)
        sweep = Sweep(directory, keyring, rooms, reception, metrics)
        fill = partial(directory.fill, kube, [])
        lists = Lists(fill, fill, partial(directory.fill_few, kube, []))
        await lists.once()
        Feed(process, scene, VOICE_AGENTS, directory.see_agent)
        Feed(process, scene, VOICE_SESSIONS, directory.see_session, lists.missed)
        async with asyncio.TaskGroup() as group:
            group.create_task(keyring.run())
            group.create_task(lists.again())
            group.create_task(sweep.run())

    async def _hint(self, process: Process, _: str, request: dict[str, Any]) -> Answer:
        odds = Odds(lost=self._scene.weather.hint_lost)

        async def do() -> Answer:
            return Answer(202 if self._scene.hint(request["json"]) else 404)

        return await process.ask("hint", do, odds, ConnectionResetError)

    async def post(self, body: bytes) -> int | None:
        """Send a webhook; return the status of the answer, None if none comes."""
        webhooks = self._webhooks
        if webhooks is None:
            return None
        process = self._processes[-1]
        request: Any = _Request(body)
        answer = asyncio.ensure_future(webhooks.post(request))
        died = asyncio.ensure_future(process.ended.wait())
        await asyncio.wait([answer, died], return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if answer.done() and process.alive:
            response: web.Response = answer.result()
            return response.status
        answer.cancel()
        return None


class _Request:
    """A webhook, as far as aiohttp's request is asked for it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        claims = {"iss": KEY, "exp": 4102444800, "sha256": digest}
        self.headers = {"Authorization": jwt.encode(claims, SECRET, algorithm="HS256")}

    def clone(self, **_: int) -> "_Request":
        return self

    async def read(self) -> bytes:
        return self._body
