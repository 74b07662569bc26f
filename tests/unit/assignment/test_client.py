"""What the operator makes of the answers of a pod, right and wrong ones."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from voicepod.assignment.client import PodClient, pod_session
from voicepod.assignment.errors import PodRefused, PodUnreachable
from voicepod.assignment.messages import PodState
from voicepod.assignment.signing import Signer, generate_key

pytestmark = pytest.mark.unit


@asynccontextmanager
async def pod_that(
    answers: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[PodClient]:
    app = web.Application()
    app.add_routes([web.post("/v1/{act}", answers)])
    async with TestServer(app, host="127.0.0.1") as server, pod_session() as session:
        assert server.port
        yield PodClient(session, Signer(generate_key()), server.port)


async def test_the_status_of_a_pod_is_read() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == "application/jwt"
        return web.json_response({"state": "warm"})

    async with pod_that(answer) as client:
        assert (await client.status("127.0.0.1", "pod-1")).state is PodState.WARM


async def test_a_refusal_tells_its_reason() -> None:
    async def answer(_: web.Request) -> web.Response:
        refusal = {"reason": "AgentNotReady", "message": "no agent has registered yet"}
        return web.json_response(refusal, status=503)

    async with pod_that(answer) as client:
        with pytest.raises(PodRefused, match="no agent has registered yet") as caught:
            await client.end("127.0.0.1", "pod-1", "CallerLeft")
    assert caught.value.reason == "AgentNotReady"


async def test_a_pod_that_is_not_there_is_unreachable() -> None:
    async with pod_session() as session:
        client = PodClient(session, Signer(generate_key()), unused_port())
        with pytest.raises(PodUnreachable, match="did not answer status"):
            await client.status("127.0.0.1", "pod-1")


@pytest.mark.parametrize(
    "body", ['{"state": "asleep"}', "[]", "<html>", '{"x": "' + "x" * 1024 * 1024 + '"}']
)
async def test_an_odd_answer_is_no_answer(body: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=body)

    async with pod_that(answer) as client:
        with pytest.raises(PodUnreachable):
            await client.status("127.0.0.1", "pod-1")


async def test_an_error_that_is_no_refusal_is_no_answer() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({}, status=500)

    async with pod_that(answer) as client:
        with pytest.raises(PodUnreachable, match="answered end with 500"):
            await client.end("127.0.0.1", "pod-1", "CallerLeft")


@pytest.mark.parametrize("length", [10, 3 * 1024 * 1024])
async def test_a_request_of_any_length_arrives_whole(length: int) -> None:
    arrived: list[int] = []

    async def answer(request: web.Request) -> web.Response:
        arrived.append(len(await request.content.read()))
        return web.json_response({"state": "ending"})

    async with pod_that(answer) as client:
        await client.end("127.0.0.1", "pod-1", "x" * length)
    assert arrived[0] > length
