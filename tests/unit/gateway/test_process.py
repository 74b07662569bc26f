"""The gateway's process from start to end, over HTTP on all sides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import Call
from tests.support.process import ask, attempts, free_port, running, until
from tests.unit.gateway.stage import Stage, sign
from voicepod.gateway import app
from voicepod.kube.client import EVENTS
from voicepod.kube.errors import NotFound
from voicepod.observability import logs
from voicepod.settings import GatewaySettings

pytestmark = pytest.mark.unit

BODY = (
    b'{"event": "room_started", "room": {"sid": "RM_1", "name": "lobby"}, '
    b'"createdAt": "9999999999"}'
)


@pytest.fixture
async def api(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ApiServer]:
    # It would take the log away from pytest.
    monkeypatch.setattr(logs, "configure", lambda _: None)
    api = ApiServer(stage.kube)
    async with serve(api, tmp_path, monkeypatch):
        yield api


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def http(port: int) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


async def post(http: aiohttp.ClientSession) -> dict[str, Any]:
    headers = {"Authorization": sign(BODY)}
    async with http.post("/livekit/webhook", data=BODY, headers=headers) as response:
        answer: dict[str, Any] = await response.json()
        return answer


@asynccontextmanager
async def process(http: aiohttp.ClientSession, port: int) -> AsyncIterator[None]:
    """The process, from when it is ready until SIGTERM has ended it."""
    settings = GatewaySettings(port=port, operator_url="http://127.0.0.1:1")
    async with running(app.run(settings), http):
        yield


@pytest.mark.usefixtures("api")
async def test_a_webhook_becomes_a_session_of_a_voiceagent_made_just_now(
    stage: Stage, http: aiohttp.ClientSession, port: int
) -> None:
    async with process(http, port):
        assert "API key that no VoiceAgent uses" in (await post(http))["error"]
        stage.add_agent()
        async for _ in attempts():
            if "error" not in (answer := await post(http)):
                break
        assert answer == {"outcome": "created"}
        assert [s["spec"]["room"] for s in stage.sessions()] == ["lobby"]
        assert await post(http) == {"outcome": "exists"}


@pytest.mark.usefixtures("api")
async def test_events_are_posted(stage: Stage, http: aiohttp.ClientSession, port: int) -> None:
    stage.add_agent("ada")
    stage.add_agent("bea")
    noted: asyncio.Queue[str] = asyncio.Queue()
    stage.kube.watch(EVENTS, lambda _, event: noted.put_nowait(event["involvedObject"]["name"]))
    async with process(http, port):
        await post(http)
        assert {await noted.get(), await noted.get()} == {"ada", "bea"}


@pytest.mark.usefixtures("api")
async def test_the_process_lives_but_is_not_ready_before_the_crds_are_there(
    stage: Stage, http: aiohttp.ClientSession, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voicepod.kube.lists._RETRY", 0.01)
    asked = asyncio.Event()

    async def no_such_kind(_: Call) -> None:
        asked.set()
        raise NotFound("the server could not find the requested resource")

    async def crds_appear() -> None:
        await asked.wait()
        await until(http, "/healthz", 200)
        assert await ask(http, "/readyz") == 503
        stage.kube.fault = None

    stage.kube.fault = no_such_kind
    appearing = asyncio.create_task(crds_appear())
    async with process(http, port):
        await appearing


@pytest.mark.usefixtures("api")
async def test_a_webhook_under_way_is_finished_when_the_process_is_told_to_stop(
    stage: Stage, http: aiohttp.ClientSession, port: int
) -> None:
    stage.add_agent()
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slowly(call: Call) -> None:
        if call.verb == "create":
            asked.set()
            await answer.wait()

    async def answer_when_the_door_is_closed() -> None:
        await until(http, "/healthz", 0)
        answer.set()

    stage.kube.fault = slowly
    async with process(http, port):
        posting = asyncio.create_task(post(http))
        await asked.wait()
        closing = asyncio.create_task(answer_when_the_door_is_closed())
    assert await posting == {"outcome": "created"}
    await closing
