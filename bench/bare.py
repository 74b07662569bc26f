"""The floor: the agent and its sidecar as processes of the host, told directly by the webhook.

Between LiveKit's webhook and the agent there is nothing but the assignment itself: no Kubernetes,
no session, no choice of a pod.
"""

import asyncio
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from aiohttp import web

from bench.calls import STEPS_PATIENCE, Way, eventually
from bench.operated import sidecar_steps
from bench.processes import running
from bench.servers import Server
from bench.stage import Stage
from local.errors import LocalError
from local.layout import REPOSITORY
from local.run import tail
from voicepod.api.names import AGENT_CONTAINER
from voicepod.assignment.messages import (
    Assignment,
    PodState,
    PodStatus,
    RoomRef,
    SessionRef,
    Tokens,
)
from voicepod.builders.pod import PodKeys, Sidecar, Template, common_pod
from voicepod.livekit.tokens import join_token, room_token
from voicepod.livekit.webhooks import parse, verify

_ADDRESS = "127.0.0.1"
_PORT = 9560
_OWN_URL = f"http://{_ADDRESS}:{_PORT}"

WEBHOOK = f"{_OWN_URL}/webhook"
"""Where the floor's LiveKit server posts its events."""

_TEMPLATE = Template({"spec": {"containers": [{"name": AGENT_CONTAINER}]}}, hash="")

# Seconds for a goodbye that nobody hears: the room is closed.
_GRACE = 1.0


class Bare(Way):
    """(f): one pair of processes for each call, warm before it."""

    name = "floor"
    what = "a bare process, told directly"
    prefix = "bare-"

    def __init__(self, stage: Stage, server: Server) -> None:
        self.server = server
        self._pods = stage.pods
        self._public_key = stage.signer.public_key
        self._logs = stage.logs
        self._pair = AsyncExitStack()
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._uid = ""
        self._received = 0.0
        self._assigning: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take LiveKit's webhooks, and have an agent ready, while the body runs."""
        app = web.Application()
        app.add_routes([web.post("/webhook", self._webhook), web.post("/hint", _no_news)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, _ADDRESS, _PORT).start()
            await self._start()
            yield
        finally:
            await self._stop()
            await runner.cleanup()

    async def _start(self) -> None:
        self._uid = str(uuid.uuid4())
        sidecar, agent = self._environments()
        for name, program, env in (
            ("sidecar", ["-m", "voicepod.sidecar"], sidecar),
            ("agent", ["agent.py", "start"], agent),
        ):
            process = running(
                *(sys.executable, *program),
                log=self._log(name),
                env=env,
                directory=REPOSITORY / "agent-image",
            )
            self._processes[name] = await self._pair.enter_async_context(process)

    def _environments(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return those of sidecar and agent: what they have in a pod, and in their images."""
        told = Sidecar(image="", operator_url=_OWN_URL, public_key=self._public_key)
        pod = common_pod(_TEMPLATE, "bare", _GRACE, told, PodKeys.draw())["spec"]
        sidecar, agent = (
            {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
            for container in (pod["initContainers"][0], pod["containers"][0])
        )
        sidecar |= {
            "PYTHONPATH": str(REPOSITORY / "operator"),
            "VOICEPOD_POD_NAME": "bare",
            "VOICEPOD_POD_NAMESPACE": "bench",
            "VOICEPOD_POD_UID": self._uid,
        }
        agent |= {
            "PATH": str(self._programs()),
            "PYTHONPATH": str(REPOSITORY / "runtime"),
            "PYTHONUNBUFFERED": "1",
        }
        return sidecar, agent

    def _programs(self) -> Path:
        """Return a directory with the program that the agent's image has for it.

        LiveKit's library runs `lsb_release` when it joins, if there is one. Images have none, and
        the floor would be 10 ms higher for it.
        """
        program, found = "espeak-ng", self._logs / "programs"
        found.mkdir(exist_ok=True)
        (found / program).unlink(missing_ok=True)
        (found / program).symlink_to(str(shutil.which(program)))
        return found

    async def _stop(self) -> None:
        if self._assigning:
            self._assigning.cancel()
        await self._pair.aclose()

    async def ready(self) -> None:
        """Wait until the agent has registered with its sidecar."""

        async def warm() -> bool:
            for name, process in self._processes.items():
                if process.returncode is not None:
                    raise LocalError(f"the bare {name} died:\n{tail(self._log(name).read_text())}")
            return (await self._status()).state is PodState.WARM

        await eventually("the bare agent is warm", warm)

    async def steps(self, room: str) -> Mapping[str, float]:
        """Return when the webhook came, and what the sidecar noted."""

        async def joined() -> PodStatus | None:
            status = await self._status()
            return status if status.at.first_audio else None

        status = await eventually("the bare agent is in its room", joined, STEPS_PATIENCE)
        return {"webhook received": self._received, **sidecar_steps(status)}

    async def over(self, room: str) -> None:
        """Start the next call's processes when this one's have ended."""
        await self._stop()
        await self._start()

    async def _webhook(self, request: web.Request) -> web.Response:
        received = time.time()
        body = await request.read()
        verify(body, request.headers.get("Authorization", ""), [self.server.credentials])
        event = parse(body)
        if event.event == "room_started" and event.room.name.startswith(self.prefix):
            self._received = received
            self._assigning = asyncio.create_task(
                self._assign(RoomRef(event.room.sid, event.room.name))
            )
        return web.Response()

    async def _assign(self, room: RoomRef) -> None:
        credentials = self.server.credentials
        session = SessionRef("bench", "bare", self._uid)
        assignment = Assignment(
            session=session,
            generation=1,
            room=room,
            livekit_url=credentials.url,
            job_id=f"AJ_{self._uid.replace('-', '')[:16]}",
            shutdown_grace=_GRACE,
        )
        accepted = await self._pods.assign(_ADDRESS, self._uid, assignment)
        tokens = Tokens(
            session_uid=session.uid,
            generation=1,
            join_token=join_token(credentials, room.name, accepted),
            room_token=room_token(credentials, room.name, timedelta(hours=1)),
        )
        await self._pods.dispatch(_ADDRESS, self._uid, tokens)

    def _log(self, name: str) -> Path:
        return self._logs / f"bare-{name}.log"

    async def _status(self) -> PodStatus:
        return await self._pods.status(_ADDRESS, self._uid)


async def _no_news(_: web.Request) -> web.Response:
    """Take a sidecar's hint, and ask nothing: the bench looks by itself."""
    return web.Response()
