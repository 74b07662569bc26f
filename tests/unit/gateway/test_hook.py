"""The platform's own service: what it is asked, and what its answers do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from voicepod.gateway import hook
from voicepod.gateway.door import NotTakenError
from voicepod.gateway.hook import DeniedError, Hook, hook_session
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.token_request import TokenRequest

pytestmark = pytest.mark.unit

ASKED = TokenRequest(room_name="lobby", participant_identity="bob")


class Service:
    """A service that notes what it is asked, and answers as a test wants."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.answer: Callable[[], Awaitable[web.StreamResponse]] = _ok
        self.url = ""

    async def post(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((dict(request.headers), await request.read()))
        return await self.answer()

    def answers(self, **response: Any) -> None:
        async def answer() -> web.Response:
            return web.Response(**response)

        self.answer = answer


async def _ok() -> web.Response:
    return web.Response()


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    app = web.Application()
    app.router.add_post("/allow", service.post)
    async with TestServer(app) as server:
        service.url = str(server.make_url("/allow"))
        yield service


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with hook_session() as http:
        yield http


async def admit(http: aiohttp.ClientSession, service: Service, **headers: str) -> TokenRequest:
    return await Hook(http, service.url)(headers, b'{"room_name": "lobby"}', ASKED)


async def failure(http: aiohttp.ClientSession, service: Service) -> str:
    with pytest.raises(NotTakenError) as refused:
        await admit(http, service)
    assert refused.value.outcome is Outcome.HOOK_FAILED
    assert service.url not in str(refused.value)
    return refused.value.detail


async def test_it_is_asked_with_the_caller_s_own_headers_and_body(
    http: aiohttp.ClientSession, service: Service
) -> None:
    passed = {"Authorization": "Bearer secret", "Cookie": "a=b", "X-Api-Key": "7"}
    own = {"host": "gateway", "connection": "close", "CONTENT-TYPE": "text/plain"}
    await admit(http, service, **passed, **own)
    ((headers, body),) = service.requests
    assert passed.items() <= headers.items()
    assert headers["Content-Type"] == "application/json"
    assert "CONTENT-TYPE" not in headers
    assert headers["Host"] != "gateway"
    assert body == b'{"room_name": "lobby"}'


@pytest.mark.parametrize("status", [200, 201, 204])
async def test_an_empty_answer_lets_the_caller_in_as_asked(
    http: aiohttp.ClientSession, service: Service, status: int
) -> None:
    service.answers(status=status)
    assert await admit(http, service) == ASKED


async def test_it_may_set_what_the_caller_may_not(
    http: aiohttp.ClientSession, service: Service
) -> None:
    service.answers(text='{"participant_identity": "user-7", "participant_name": null}')
    admitted = await admit(http, service)
    assert admitted.participant_identity == "user-7"
    assert admitted.room_name == "lobby"


@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_turned_away_gets_its_words(
    http: aiohttp.ClientSession, service: Service, status: int
) -> None:
    headers = {"WWW-Authenticate": "Bearer", "Set-Cookie": "a=b"}
    service.answers(status=status, text="no more minutes", headers=headers)
    with pytest.raises(DeniedError) as denied:
        await admit(http, service)
    answer = denied.value.answer
    assert (answer.status, answer.body) == (status, b"no more minutes")
    assert set(answer.headers) == {"Content-Type", "WWW-Authenticate"}


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500, 503])
async def test_any_other_answer_lets_nobody_in(
    http: aiohttp.ClientSession, service: Service, status: int
) -> None:
    service.answers(status=status, headers={"Location": service.url})
    assert await failure(http, service) == f"the hook: it answered {status}"
    assert len(service.requests) == 1


@pytest.mark.parametrize("text", ["<html>", "[]", '{"participant_identity": 7}'])
async def test_an_answer_that_is_no_request_lets_nobody_in(
    http: aiohttp.ClientSession, service: Service, text: str
) -> None:
    service.answers(text=text)
    assert "not a token request" in await failure(http, service)


async def test_an_answer_without_end_is_not_read(
    http: aiohttp.ClientSession, service: Service
) -> None:
    service.answers(body=b" " * (256 * 1024 + 1))
    assert "larger than 262144 bytes" in await failure(http, service)


async def test_one_that_does_not_answer_lets_nobody_in(
    http: aiohttp.ClientSession, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "_TIMEOUT", 0.01)
    ended = asyncio.Event()

    async def never() -> web.Response:
        await ended.wait()
        return web.Response()

    service.answer = never
    assert "did not answer" in await failure(http, service)
    ended.set()


async def test_one_that_is_not_there_lets_nobody_in(
    http: aiohttp.ClientSession, service: Service
) -> None:
    service.url = f"http://127.0.0.1:{unused_port()}/allow"
    assert "Cannot connect" in await failure(http, service)


async def test_it_is_asked_once_more_when_the_connection_is_closed_under_the_question(
    http: aiohttp.ClientSession, service: Service
) -> None:
    app, asked = web.Application(), list[str]()

    async def post(request: web.Request) -> web.Response:
        asked.append(request.path)
        if len(asked) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.Response()

    app.router.add_post("/allow", post)
    async with TestServer(app) as server:
        service.url = str(server.make_url("/allow"))
        assert await admit(http, service) == ASKED
    assert len(asked) == 2


async def test_one_caller_s_cookies_are_never_sent_for_another(
    http: aiohttp.ClientSession, service: Service
) -> None:
    service.answers(headers={"Set-Cookie": "session=alice"})
    await admit(http, service)
    await admit(http, service)
    assert "Cookie" not in service.requests[1][0]
