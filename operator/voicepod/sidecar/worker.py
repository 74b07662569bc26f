"""LiveKit's worker protocol, from the server's side: what the agent believes to be LiveKit.

An agent connects to ``/agent``, registers, and is offered a job; having accepted, it waits for the
assignment with the token, and reports on the job if its SDK does. Messages are protobuf, one in
each binary frame. The reference for what is answered when is livekit-server's ``pkg/agent``.
"""

import asyncio
import logging
import secrets
import time
from typing import Any, Final, Protocol

from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError

from voicepod.sidecar.protocol import agent, models

logger = logging.getLogger(__name__)

# Seconds that a connected agent has to register; livekit-server gives as many.
_REGISTER_TIMEOUT: Final = 10.0

# Seconds to wait for a closing handshake: an idle agent that is replaced may not answer any more.
_CLOSE_TIMEOUT: Final = 1.0

# What livekit-server 1.13 says of itself.
_SERVER: Final = models.ServerInfo(
    edition=models.ServerInfo.Standard, version="1.13.5", protocol=17, agent_protocol=1
)


class AgentGone(Exception):  # noqa: N818 - named by what happened
    """The agent's websocket has closed."""


class Desk(Protocol):
    """Who the agent is announced to."""

    def why_no_agent(self) -> str | None:
        """Return why no agent may register now, or None if one may."""

    async def registered(self, worker: "Worker") -> None:
        """An agent has registered; it takes the place of an earlier one."""

    def gone(self, worker: "Worker") -> None:
        """The websocket of a registered agent has closed."""

    async def reported(self, update: agent.UpdateJobStatus) -> None:
        """The agent says how its job is doing."""


class Worker:
    """A registered agent."""

    def __init__(
        self, socket: web.WebSocketResponse, registration: agent.RegisterWorkerRequest
    ) -> None:
        self.id = f"AW_{secrets.token_hex(6)}"
        self.registration = registration
        self._socket = socket
        self._answer: asyncio.Future[agent.AvailabilityResponse] | None = None
        self._withdrawn = False

    async def offer(self, job: agent.Job) -> agent.AvailabilityResponse:
        """Offer a job, and return the answer whenever it comes. Raises AgentGone."""
        if self._withdrawn:
            raise AgentGone
        self._answer = asyncio.get_running_loop().create_future()
        await self.send(availability=agent.AvailabilityRequest(job=job))
        return await self._answer

    async def assign(self, job: agent.Job, url: str, token: str) -> None:
        """Let the agent start the job that it accepted. Raises AgentGone."""
        await self.send(assignment=agent.JobAssignment(job=job, url=url, token=token))

    async def terminate(self, job_id: str) -> None:
        """Tell the agent to end its job. Raises AgentGone."""
        await self.send(termination=agent.JobTermination(job_id=job_id))

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close()

    async def send(self, **message: Any) -> None:
        """Send a ``ServerMessage`` of these fields. Raises AgentGone."""
        try:
            await self._socket.send_bytes(agent.ServerMessage(**message).SerializeToString())
        except ConnectionError as error:
            raise AgentGone from error

    def take(self, answer: agent.AvailabilityResponse) -> None:
        """The agent has answered an offer."""
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)

    def withdraw(self) -> None:
        """Offer nothing any more: whoever waits for an answer has AgentGone."""
        self._withdrawn = True
        if self._answer and not self._answer.done():
            self._answer.set_exception(AgentGone())


class WorkerEndpoint:
    """``GET /agent``.

    The agent's token is not verified: it is signed with a key drawn for this pod, and only the
    containers of this pod reach its loopback. Nor are pings sent: on the loopback a process that
    dies closes its socket, and one that is busy must not be taken for dead while its call is on.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one agent until its websocket closes."""
        if why := self._desk.why_no_agent():
            logger.warning("refused the connection of an agent: %s", why)
            return web.Response(status=503, text=why)
        socket = web.WebSocketResponse(timeout=_CLOSE_TIMEOUT, compress=False)
        await socket.prepare(request)
        try:
            await self._serve(socket)
        except DecodeError:
            logger.warning("the agent sent something that is not of the worker protocol")
        finally:
            await socket.close()
        return socket

    async def _serve(self, socket: web.WebSocketResponse) -> None:
        try:
            async with asyncio.timeout(_REGISTER_TIMEOUT):
                registration = await _receive(socket)
        except TimeoutError:
            logger.warning("a connected agent did not register")
            return
        if registration is None or not registration.HasField("register"):
            logger.warning("a connected agent did not register first of all")
            return
        worker = Worker(socket, registration.register)
        try:
            await worker.send(
                register=agent.RegisterWorkerResponse(worker_id=worker.id, server_info=_SERVER)
            )
        except AgentGone:
            return
        # Asked again: meanwhile the one that is registered may have got a job.
        if why := self._desk.why_no_agent():
            logger.warning("refused the registration of an agent: %s", why)
            return
        try:
            await self._desk.registered(worker)
            while (message := await _receive(socket)) is not None:
                await self._handle(worker, message)
        except AgentGone:
            pass
        finally:
            worker.withdraw()
            self._desk.gone(worker)

    async def _handle(self, worker: Worker, message: agent.WorkerMessage) -> None:
        match message.WhichOneof("message"):
            case "availability":
                worker.take(message.availability)
            case "update_job":
                await self._desk.reported(message.update_job)
            case "ping":
                pong = agent.WorkerPong(
                    last_timestamp=message.ping.timestamp, timestamp=time.time_ns() // 1_000_000
                )
                await worker.send(pong=pong)
            case _:
                # The worker's load decides by its answer to an offer; simulated and migrated jobs
                # are for servers with more than one worker.
                pass


async def _receive(socket: web.WebSocketResponse) -> agent.WorkerMessage | None:
    """Return the next message, or None when the websocket is closed. Raises DecodeError."""
    frame = await socket.receive()
    if frame.type is WSMsgType.BINARY:
        return agent.WorkerMessage.FromString(frame.data)
    if frame.type is WSMsgType.TEXT:
        raise DecodeError("a text frame")
    return None
