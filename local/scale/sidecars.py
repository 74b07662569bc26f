"""One server in the place of all the pods' sidecars: `python -m local.scale.sidecars`.

`GET /ledger` tells what it was asked, and what became of pods and sessions; `GET /standing` how
many there are, so that nobody has to ask the API server.
"""

import gc
import time
from asyncio import TaskGroup
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import jwt
import uvloop
from aiohttp import web

from local import livekit
from local.scale.sidecar import PodLife, Sidecar
from local.scale.site import AGENT, LIVEKIT_URL, NAMESPACE, OPERATOR_URL, PLANE, SIDECARS
from voicepod.api.names import LABEL_AGENT, LABEL_SESSION
from voicepod.assignment.messages import Act, Refusal
from voicepod.assignment.ports import OPERATOR_PORT
from voicepod.assignment.signing import Verifier
from voicepod.kube import client
from voicepod.kube.client import PODS, VOICE_SESSIONS
from voicepod.kube.follow import follow
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.state import Refused


@dataclass(slots=True)
class SessionLife:
    """What was seen of one session."""

    name: str
    seen: float
    status: dict[str, Any] = field(default_factory=dict)
    """The last one."""
    gone: float | None = None


class Sidecars:
    """All of them, by the uids of their pods, and what was seen of the sessions."""

    def __init__(self, http: aiohttp.ClientSession, rooms: Rooms) -> None:
        self._http = http
        self._rooms = rooms
        self._sidecars: dict[str, Sidecar] = {}
        self._sessions: dict[str, SessionLife] = {}
        self._told: set[str] = set()
        """Uids of sessions that a pod was told of."""
        self._waiting: set[str] = set()
        """Those of sessions that are there, and that no pod was told of yet."""

    async def act(self, request: web.Request) -> web.Response:
        """Answer the operator in the place of the pod that it means."""
        act, token = Act(request.match_info["act"]), await request.read()
        pod = jwt.decode(token, options={"verify_signature": False})["aud"]
        try:
            answer = self._sidecars[pod].act(act, token)
            if act is Act.ASSIGN:
                self._note_told(self._sidecars[pod].life.told[-1].session)
        except Refused as error:
            return web.json_response(Refusal(error.reason, error.message).to_dict(), status=409)
        return web.json_response(answer, status=202 if act is Act.END else 200)

    def _note_told(self, session: str) -> None:
        self._told.add(session)
        self._waiting.discard(session)

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
                "waiting": len(self._waiting),
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
        conditions = {one["type"]: one for one in raw["status"].get("conditions", [])}
        if conditions.get("Ready", {}).get("status") == "True":
            sidecar.register()
        life.node = raw["spec"].get("nodeName", "")
        unschedulable = conditions.get("PodScheduled", {}).get("reason") == "Unschedulable"
        life.roomless |= unschedulable and not raw["status"].get("nominatedNodeName")
        if "deletionTimestamp" in metadata:
            life.ending = life.ending or now
        owner = metadata["labels"].get(LABEL_SESSION)
        if owner and owner not in life.owners:
            life.owned = life.owned or now
            life.owners.append(owner)
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
        life = self._sessions.get(metadata["uid"])
        if life is None:
            life = self._sessions[metadata["uid"]] = SessionLife(metadata["name"], now)
            if metadata["uid"] not in self._told:
                self._waiting.add(metadata["uid"])
        life.status = raw.get("status", {})
        if deleted:
            life.gone = now
            self._waiting.discard(metadata["uid"])


async def main() -> None:
    """Answer until the process is ended."""
    # It stands for thousands of processes, whose collectors would not hold each other up: a pause
    # of all of them at once, for half a second, is none that a cluster has.
    gc.disable()
    keys = livekit.credentials(PLANE.state)
    async with (
        aiohttp.ClientSession() as http,
        client_session() as livekit_http,
        client.connect(PLANE.kubeconfig_of(SIDECARS)) as kube,
        TaskGroup() as group,
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
        ours = f"{LABEL_AGENT}={AGENT}"
        group.create_task(follow(kube, PODS, [NAMESPACE], sidecars.pod_changed, ours))
        group.create_task(follow(kube, VOICE_SESSIONS, [NAMESPACE], sidecars.session_changed))


if __name__ == "__main__":
    uvloop.run(main())
