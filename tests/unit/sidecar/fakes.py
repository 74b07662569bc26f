"""The sidecar's neighbours, each as simple as its protocol allows, over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import jwt
from aiohttp import web
from aiohttp.test_utils import TestServer
from livekit.protocol import agent, models, room

from tests.support.process import free_port
from tests.support.waiting import PATIENCE
from voicepod.assignment.client import PodClient, pod_session
from voicepod.assignment.messages import Assignment, PodStatus, RoomRef, SessionRef, Tokens
from voicepod.assignment.signing import Signer, Verifier, generate_key
from voicepod.sidecar.app import serving
from voicepod.sidecar.settings import Settings
from voicepod.sidecar.store import Store
from voicepod.sidecar.supervisor import Supervisor

HOST = "127.0.0.1"
POD_UID = "pod-uid"
ROOM = "the room"
IDENTITY = "agent-AJ_1"


def tokens(session_uid: str = "session-uid", generation: int = 1) -> Tokens:
    join = jwt.encode({"sub": IDENTITY}, "of LiveKit, and unknown to the sidecar")
    return Tokens(session_uid, generation, join, "room-token")


def end_of(told: PodStatus) -> tuple[str, str, str]:
    assert told.end
    return told.state, told.end.reason, told.end.message


class FakeAgent:
    """A worker of LiveKit's protocol that does what the test says."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send_bytes(agent.WorkerMessage(**message).SerializeToString())

    async def receive(self, expected: str) -> Any:
        frame = await self.socket.receive_bytes(timeout=PATIENCE)
        message = agent.ServerMessage.FromString(frame)
        assert message.WhichOneof("message") == expected
        return getattr(message, expected)

    async def register(self, **registration: Any) -> agent.RegisterWorkerResponse:
        registration = {"agent_name": "demo", "version": "1.8.9"} | registration
        await self.send(register=agent.RegisterWorkerRequest(**registration))
        response: agent.RegisterWorkerResponse = await self.receive("register")
        return response

    async def accept(self) -> agent.Job:
        """Take the job that is offered, as LiveKit's SDKs do by default."""
        offered: agent.AvailabilityRequest = await self.receive("availability")
        await self.send(
            availability=agent.AvailabilityResponse(
                job_id=offered.job.id,
                available=True,
                participant_identity=IDENTITY,
                participant_name="Ann",
                participant_metadata="hello",
                participant_attributes={"mood": "good"},
            )
        )
        return offered.job

    async def accept_plainly(self) -> None:
        """Take the job that is offered, and ask for nothing."""
        offered: agent.AvailabilityRequest = await self.receive("availability")
        await self.send(
            availability=agent.AvailabilityResponse(
                job_id=offered.job.id, available=True, participant_identity=IDENTITY
            )
        )

    async def decline(self, terminate: bool = False) -> None:
        offered: agent.AvailabilityRequest = await self.receive("availability")
        await self.send(
            availability=agent.AvailabilityResponse(
                job_id=offered.job.id, available=False, terminate=terminate
            )
        )

    async def report(self, status: agent.JobStatus, error: str = "") -> None:
        await self.send(update_job=agent.UpdateJobStatus(job_id="AJ_1", status=status, error=error))


class FakeLiveKit:
    """A RoomService with participants; it keeps what it was asked."""

    def __init__(self) -> None:
        self.participants: list[models.ParticipantInfo] = []
        self.callers: list[models.ParticipantInfo] = []
        self.calls: list[tuple[str, str, bytes]] = []
        """Method, Authorization, body; those of the sidecar's own watch are not among them."""
        self.looks = 0
        self.broken = False
        self.slow = 0.0
        """Seconds that each answer takes."""
        self.failures = 0
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        method, body = request.match_info["method"], await request.read()
        await asyncio.sleep(self.slow)
        if self.broken:
            self.failures += 1
            return web.json_response({"code": "internal", "msg": "broken"}, status=500)
        if method == "ListParticipants":
            self.looks += 1
            answer = room.ListParticipantsResponse(participants=[*self.callers, *self.participants])
            return web.Response(
                body=answer.SerializeToString(), content_type="application/protobuf"
            )
        self.calls.append((method, request.headers["Authorization"], body))
        empty = b"{}" if request.content_type == "application/json" else b""
        return web.Response(body=empty, content_type=request.content_type)

    def join(self, *tracks: models.TrackType, sid: str = "PA_1", joined_at: float = 0.0) -> None:
        self.participants = [
            models.ParticipantInfo(
                sid=sid,
                identity=IDENTITY,
                joined_at_ms=int(joined_at * 1000),
                is_publisher=bool(tracks),
                tracks=[models.TrackInfo(type=track) for track in tracks],
            )
        ]


class FakeOperator:
    """Takes hints."""

    def __init__(self) -> None:
        self.hints: list[dict[str, str]] = []
        self.busy = 0
        """How many hints to turn away."""
        self.leader = ""
        """Path at which another operator leads, if this one stands by."""
        self.url = ""

    async def hint(self, request: web.Request) -> web.Response:
        if self.leader and request.path != self.leader:
            raise web.HTTPTemporaryRedirect(self.leader)
        if self.busy:
            self.busy -= 1
            raise web.HTTPServiceUnavailable
        self.hints.append(await request.json())
        return web.Response(status=202)


@dataclass(kw_only=True)
class Surroundings:
    """Everything around a sidecar."""

    settings: Settings
    agent_port: int
    operator_port: int
    livekit: FakeLiveKit
    operator: FakeOperator
    signer: Signer
    client: PodClient
    http: aiohttp.ClientSession
    agents: list[FakeAgent] = field(default_factory=list)
    """Kept, as a connection that nobody refers to is closed."""

    async def connect(self) -> FakeAgent:
        socket = await self.http.ws_connect(
            f"ws://{HOST}:{self.agent_port}/agent", headers={"Authorization": "Bearer whatever"}
        )
        self.agents.append(FakeAgent(socket))
        return self.agents[-1]

    async def warm(self, **registration: Any) -> FakeAgent:
        connected = await self.connect()
        await connected.register(**registration)
        async with asyncio.timeout(PATIENCE):
            while await self.get("/ready") != 200:
                pass
        return connected

    async def accepted(self, **changes: Any) -> FakeAgent:
        worker = await self.warm()
        assigning = asyncio.create_task(self.assign(**changes))
        await worker.accept()
        await assigning
        return worker

    async def running(self, **changes: Any) -> FakeAgent:
        worker = await self.accepted(**changes)
        await self.dispatch(generation=changes.get("generation", 1))
        await worker.receive("assignment")
        return worker

    def assignment(self, **changes: Any) -> Assignment:
        plain = Assignment(
            session=SessionRef("voice", "demo", "session-uid"),
            generation=1,
            room=RoomRef("RM_1", ROOM),
            livekit_url=self.livekit.url,
            job_id="AJ_1",
            shutdown_grace=5.0,
            metadata="for the job",
        )
        return replace(plain, **changes)

    async def assign(self, **changes: Any) -> Any:
        return await self.client.assign(HOST, POD_UID, self.assignment(**changes))

    async def dispatch(self, session_uid: str = "session-uid", generation: int = 1) -> None:
        await self.client.dispatch(HOST, POD_UID, tokens(session_uid, generation))

    async def end(self) -> None:
        await self.client.end(HOST, POD_UID, "CallerLeft")

    async def status(self) -> PodStatus:
        return await self.client.status(HOST, POD_UID)

    async def get(self, path: str, **headers: str) -> int:
        url = f"http://{HOST}:{self.operator_port}{path}"
        async with self.http.get(url, headers=headers) as response:
            return response.status


@dataclass(kw_only=True)
class Rig(Surroundings):
    """A sidecar and everything around it."""

    supervisor: Supervisor


@asynccontextmanager
async def surroundings() -> AsyncIterator[Surroundings]:
    livekit, operator = FakeLiveKit(), FakeOperator()
    livekit_app, operator_app = web.Application(), web.Application()
    livekit_app.add_routes([web.post("/twirp/livekit.RoomService/{method}", livekit.answer)])
    operator_app.add_routes([web.post("/{path:(leader/)?hint}", operator.hint)])
    signer, operator_port = Signer(generate_key()), free_port()
    async with (
        TestServer(livekit_app, host=HOST) as livekit_server,
        TestServer(operator_app, host=HOST) as operator_server,
        pod_session() as session,
        aiohttp.ClientSession() as http,
    ):
        livekit.url = f"ws://{HOST}:{livekit_server.port}"
        operator_url = f"http://{HOST}:{operator_server.port}"
        around = Surroundings(
            settings=Settings(
                "demo-1", "voice", POD_UID, operator_url, signer.public_key, "stop-key", "agent-key"
            ),
            agent_port=free_port(),
            operator_port=operator_port,
            livekit=livekit,
            operator=operator,
            signer=signer,
            client=PodClient(session, signer, operator_port),
            http=http,
        )
        try:
            yield around
        finally:
            # One that is left open warns when it is collected, in whichever test that is.
            for connected in around.agents:
                await connected.socket.close()


@asynccontextmanager
async def rig(store: Store | None = None) -> AsyncIterator[Rig]:
    async with surroundings() as around:
        verifier = Verifier(around.settings.operator_public_key, POD_UID)
        async with serving(
            around.settings, verifier, store, around.agent_port, around.operator_port
        ) as supervisor:
            yield Rig(supervisor=supervisor, **vars(around))
