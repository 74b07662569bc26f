"""One server in the place of all the pods' sidecars: `python -m local.scale.sidecars`.

It speaks the real contract (signed messages, the state machine of the sidecar, its hints) for
agents that join their room, talk for as long as the session's metadata says, and then see the host
close the meeting. `GET /ledger` tells what it was asked, and what became of pods and sessions;
`GET /standing` how many there are, so that nobody has to ask the API server.
"""

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import jwt
from aiohttp import web

from local import livekit
from local.scale.site import AGENT, LIVEKIT_URL, NAMESPACE, OPERATOR_URL, PLANE, SIDECARS
from voicepod.api.names import LABEL_AGENT, LABEL_SESSION
from voicepod.assignment.messages import (
    Accepted,
    Act,
    Assignment,
    Checkpoint,
    Ending,
    Refusal,
    Tokens,
)
from voicepod.assignment.ports import OPERATOR_PORT
from voicepod.assignment.signing import Verifier
from voicepod.kube.client import PODS, VOICE_SESSIONS, Resource
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.state import Pod, Refused

logger = logging.getLogger(__name__)

# Seconds, as measured with the default agent on a quiet machine: from the token to the join, and
# on to the first audio.
JOIN_SECONDS = 0.1
AUDIO_SECONDS = 0.2

# Seconds between the room's end and the agent's report that its job is over.
LEAVE_SECONDS = 0.05


@dataclass(slots=True)
class Told:
    """An assignment, as it came."""

    at: float
    """By the monotonic clock, which is one for all processes of a machine."""
    session: str
    generation: int
    taken: bool
    """False when the pod has another one already."""


@dataclass(slots=True)
class PodLife:
    """What was seen of one pod."""

    name: str
    created: float
    """When it was first seen, by the monotonic clock, as are all of these."""
    ready: float | None = None
    deleting: float | None = None
    gone: float | None = None
    owned: float | None = None
    owners: list[str] = field(default_factory=list)
    """The sessions that it was seen to belong to, one after the other."""
    told: list[Told] = field(default_factory=list)


@dataclass(slots=True)
class SessionLife:
    """What was seen of one session."""

    name: str
    seen: float
    status: dict[str, Any] = field(default_factory=dict)
    """The last one."""
    gone: float | None = None


class Sidecar:
    """The sidecar of one pod, and the agent beside it."""

    def __init__(self, verifier: Verifier, hints: Hints, rooms: Rooms, life: PodLife) -> None:
        self.life = life
        self._verifier = verifier
        self._hints = hints
        self._rooms = rooms
        self._pod = Pod(time.time)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def warm(self) -> bool:
        """The agent waits for a session."""
        return self.life.ready is not None and not self.life.owners

    @property
    def in_call(self) -> bool:
        """The agent is in a room."""
        return self._pod.has_joined and not self._pod.over

    def register(self) -> None:
        """The agent has started."""
        if self.life.ready is None:
            self.life.ready = time.monotonic()
            self._pod.register("agent", "scale")
            self._hints.send()

    def close(self) -> None:
        """The pod is gone."""
        for task in self._tasks:
            task.cancel()

    def act(self, act: Act, token: bytes) -> dict[str, Any]:
        """Do what the operator asks. Raises Refused, or an exception of voicepod.assignment."""
        now = time.monotonic()
        body = self._verifier.verify(token, act)
        match act:
            case Act.ASSIGN:
                return self._assign(Assignment.from_dict(body), now).to_dict()
            case Act.TOKEN:
                self._dispatch(Tokens.from_dict(body))
            case Act.END:
                self._pod.end(Ending.from_dict(body).reason)
                self._spawn(self._leave())
            case Act.CHECKPOINT:
                return Checkpoint().to_dict()
            case Act.STATUS:
                pass
        return self._pod.status().to_dict()

    def _assign(self, assignment: Assignment, now: float) -> Accepted:
        told = Told(now, assignment.session.uid, assignment.generation, taken=False)
        self.life.told.append(told)
        # The kubelet's news of the readiness may have reached the operator first.
        self.register()
        accepted = Accepted(f"agent-{assignment.job_id}")
        if self._pod.assign(assignment):
            self._pod.accept(accepted)
        told.taken = True
        return accepted

    def _dispatch(self, tokens: Tokens) -> None:
        if self._pod.job and self._pod.dispatch(tokens, self._pod.job.identity):
            self._spawn(self._call())

    async def _call(self) -> None:
        assert self._pod.assignment
        await asyncio.sleep(JOIN_SECONDS)
        self._pod.see(time.time(), audio=False)
        await asyncio.sleep(AUDIO_SECONDS)
        self._pod.see(time.time(), audio=True)
        self._hints.send()
        await asyncio.sleep(json.loads(self._pod.assignment.metadata)["seconds"])
        await self._rooms.close(self._pod.assignment.room.name)
        await self._leave()

    async def _leave(self) -> None:
        await asyncio.sleep(LEAVE_SECONDS)
        if self._pod.job and not self._pod.over:
            self._pod.report(self._pod.job.id, "JS_SUCCESS", "")
            self._hints.send()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class Sidecars:
    """All of them, by the uids of their pods, and what was seen of the sessions."""

    def __init__(self, http: aiohttp.ClientSession, rooms: Rooms) -> None:
        self._http = http
        self._rooms = rooms
        self._sidecars: dict[str, Sidecar] = {}
        self._sessions: dict[str, SessionLife] = {}

    async def act(self, request: web.Request) -> web.Response:
        """Answer the operator in the place of the pod that it means."""
        act, token = Act(request.match_info["act"]), await request.read()
        pod = jwt.decode(token, options={"verify_signature": False})["aud"]
        try:
            answer = self._sidecars[pod].act(act, token)
        except Refused as error:
            return web.json_response(Refusal(error.reason, error.message).to_dict(), status=409)
        return web.json_response(answer, status=202 if act is Act.END else 200)

    async def ledger(self, _: web.Request) -> web.Response:
        """Tell what was seen."""
        return web.json_response(
            {
                "pods": {uid: asdict(one.life) for uid, one in self._sidecars.items()},
                "sessions": {uid: asdict(life) for uid, life in self._sessions.items()},
            }
        )

    async def standing(self, _: web.Request) -> web.Response:
        """Tell how many sessions and pods there are, and what the pods are doing."""
        pods = [one for one in self._sidecars.values() if one.life.gone is None]
        return web.json_response(
            {
                "sessions": sum(life.gone is None for life in self._sessions.values()),
                "pods": len(pods),
                "warm": sum(one.warm for one in pods),
                "calls": sum(one.in_call for one in pods),
            }
        )

    async def healthz(self, _: web.Request) -> web.Response:
        """Say that this runs."""
        return web.Response(text="ok")

    def pod_changed(self, raw: dict[str, Any], deleted: bool) -> None:
        """Take over what the API server says of a pod."""
        metadata, now = raw["metadata"], time.monotonic()
        sidecar = self._sidecars.get(metadata["uid"])
        if sidecar is None:
            sidecar = self._sidecars[metadata["uid"]] = self._made(raw, now)
        life = sidecar.life
        conditions = raw["status"].get("conditions", [])
        if any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
            sidecar.register()
        owner = metadata["labels"].get(LABEL_SESSION)
        if owner and owner not in life.owners:
            life.owned = life.owned or now
            life.owners.append(owner)
        if "deletionTimestamp" in metadata:
            life.deleting = life.deleting or now
        if deleted:
            life.gone = now
            sidecar.close()

    def _made(self, raw: dict[str, Any], now: float) -> Sidecar:
        metadata = raw["metadata"]
        container = raw["spec"]["initContainers"][0]
        env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        return Sidecar(
            Verifier(env["VOICEPOD_OPERATOR_PUBLIC_KEY"], metadata["uid"]),
            Hints(self._http, OPERATOR_URL, NAMESPACE, metadata["name"]),
            self._rooms,
            PodLife(metadata["name"], now),
        )

    def session_changed(self, raw: dict[str, Any], deleted: bool) -> None:
        """Take over what the API server says of a session."""
        metadata, now = raw["metadata"], time.monotonic()
        life = self._sessions.setdefault(metadata["uid"], SessionLife(metadata["name"], now))
        life.status = raw.get("status", {})
        if deleted:
            life.gone = now


async def watch(http: aiohttp.ClientSession, resource: Resource, changed: Any) -> None:
    """Call `changed` with each object that is new, changes or goes, from now on."""
    context = ssl.create_default_context(cafile=PLANE.authority.certificate("ca"))
    context.load_cert_chain(
        PLANE.authority.certificate(SIDECARS), PLANE.authority.private_key(SIDECARS)
    )
    selector = {"labelSelector": f"{LABEL_AGENT}={AGENT}"} if resource is PODS else {}
    url = PLANE.url + resource.path(NAMESPACE)
    async with http.get(url, params=selector, ssl=context) as response:
        listed = await response.json()
    for item in listed["items"]:
        changed(item, False)
    version = listed["metadata"]["resourceVersion"]
    while True:
        # Again and again: the API server lets go of a watch that cannot follow.
        options = {"watch": "true", "resourceVersion": version}
        async with http.get(url, params={**selector, **options}, ssl=context) as response:
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RuntimeError(f"the watch of {resource.plural}: {event['object']}")
                version = event["object"]["metadata"]["resourceVersion"]
                changed(event["object"], event["type"] == "DELETED")


async def main() -> None:
    """Answer until the process is ended."""
    logging.basicConfig(level=logging.INFO)
    keys = livekit.credentials(PLANE.state)
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None), read_bufsize=4 * 1024 * 1024
        ) as http,
        client_session() as livekit_http,
        asyncio.TaskGroup() as group,
    ):
        rooms = Rooms(livekit_http, Credentials(LIVEKIT_URL, keys.api_key, keys.api_secret))
        sidecars = Sidecars(http, rooms)
        app = web.Application()
        app.add_routes(
            [
                web.post(f"/v1/{{act:{'|'.join(Act)}}}", sidecars.act),
                web.get("/ledger", sidecars.ledger),
                web.get("/standing", sidecars.standing),
                web.get("/healthz", sidecars.healthz),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", OPERATOR_PORT).start()
        group.create_task(watch(http, PODS, sidecars.pod_changed))
        group.create_task(watch(http, VOICE_SESSIONS, sidecars.session_changed))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
