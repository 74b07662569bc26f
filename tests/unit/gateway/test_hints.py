"""What the operator is told over HTTP, and what its answers mean."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from voicepod.gateway.hints import Hints

pytestmark = pytest.mark.unit


class Operator:
    """Answers hints as it is told to."""

    def __init__(self) -> None:
        self.status = 202
        self.heard: list[object] = []
        app = web.Application()
        app.add_routes([web.post("/hint", self._hint)])
        self.server = TestServer(app)

    async def _hint(self, request: web.Request) -> web.Response:
        self.heard.append(await request.json())
        if not self.status:
            await asyncio.sleep(60)
        return web.Response(status=self.status)


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    operator = Operator()
    async with operator.server:
        yield operator


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_hint_names_the_session(operator: Operator, http: aiohttp.ClientSession) -> None:
    hints = Hints(http, str(operator.server.make_url("/")))

    assert await hints.taken(("voice", "call"))
    assert operator.heard == [{"namespace": "voice", "session": "call"}]


@pytest.mark.parametrize("status", [404, 500, 503, 0])
async def test_whatever_else_the_operator_says_the_hint_is_not_taken(
    operator: Operator, http: aiohttp.ClientSession, status: int
) -> None:
    operator.status = status
    hints = Hints(http, str(operator.server.make_url("/")))

    assert not await hints.taken(("voice", "call"))


async def test_an_operator_that_is_away_takes_no_hint(
    operator: Operator, http: aiohttp.ClientSession
) -> None:
    url = str(operator.server.make_url("/"))
    await operator.server.close()

    assert not await Hints(http, url).taken(("voice", "call"))
