"""``Kube`` against an API server of a few lines: the official client's transport is real."""

from contextlib import aclosing
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube
from tests.support.waiting import until
from voicepod.kube.client import DEPLOYMENTS, PAGE, VOICE_SESSIONS, connect
from voicepod.kube.errors import Unavailable

pytestmark = pytest.mark.unit


async def test_a_proxy_for_the_rest_of_the_world_is_not_asked_for_the_api_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # Port 9 discards; nobody listens there.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serve(ApiServer(FakeKube()), tmp_path, monkeypatch), connect() as kube:
        assert await kube.list_all(VOICE_SESSIONS, "voice") == []


async def test_the_api_server_need_not_compress_what_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ApiServer(FakeKube())
    async with serve(server, tmp_path, monkeypatch), connect() as kube:
        await kube.list_all(VOICE_SESSIONS, "voice")
    assert server.encodings == {"identity"}


async def test_what_is_applied_is_made_then_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one"}}
    async with serve(ApiServer(FakeKube()), tmp_path, monkeypatch), connect() as kube:
        made = await kube.apply(DEPLOYMENTS, "voice", {**body, "spec": {"replicas": 1}})
        changed = await kube.apply(DEPLOYMENTS, "voice", {**body, "spec": {"paused": True}})

    assert made["metadata"]["uid"] == changed["metadata"]["uid"]
    assert (made["spec"], changed["spec"]) == ({"replicas": 1}, {"paused": True})


def many(count: int) -> FakeKube:
    kube = FakeKube()
    for number in range(count):
        kube.put(VOICE_SESSIONS, "voice", {"metadata": {"name": f"call-{number}"}})
    return kube


async def test_a_long_list_comes_page_by_page_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2 * PAGE + 1
    server = ApiServer(many(count))
    async with serve(server, tmp_path, monkeypatch), connect() as kube:
        pages = [page async for page in kube.pages(VOICE_SESSIONS, None)]

    assert [len(page.items) for page in pages] == [PAGE, PAGE, 1]
    assert {page.version for page in pages} == {server.kube.version}
    names = {item["metadata"]["name"] for page in pages for item in page.items}
    assert names == {f"call-{number}" for number in range(count)}


async def test_a_page_is_as_long_as_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(ApiServer(many(5)), tmp_path, monkeypatch), connect() as kube:
        pages = [page async for page in kube.pages(VOICE_SESSIONS, None, size=3)]

    assert [len(page.items) for page in pages] == [3, 2]


async def test_the_next_page_comes_while_the_last_one_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ApiServer(many(2 * PAGE + 1))
    async with (
        serve(server, tmp_path, monkeypatch),
        connect() as kube,
        aclosing(kube.pages(VOICE_SESSIONS, None)) as pages,
    ):
        await anext(pages)
        await until(lambda: len(server.requests) >= 2)


async def test_a_list_that_takes_too_long_for_the_api_server_may_be_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ApiServer(many(PAGE + 1))
    server.forgets = True
    async with serve(server, tmp_path, monkeypatch), connect() as kube:
        with pytest.raises(Unavailable, match="expired"):
            await kube.list_all(VOICE_SESSIONS, None)
