"""``follow`` against an API server of a few lines, over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.support.api_server import ApiServer, serve
from tests.support.fake_kube import FakeKube
from tests.support.waiting import until
from voicepod.api.names import LABEL_AGENT
from voicepod.kube import follow as followed
from voicepod.kube.client import PODS, Object, connect
from voicepod.kube.follow import follow
from voicepod.kube.lists import Lists, Versions

pytestmark = pytest.mark.unit

Seen = asyncio.Queue[tuple[str, bool]]


def put_pod(kube: FakeKube, name: str, namespace: str = "voice") -> None:
    kube.put(PODS, namespace, {"metadata": {"name": name}})


class Counted(Lists):
    """Counts how often something was missed."""

    def __init__(self, kube: FakeKube) -> None:
        self.gaps = 0

        async def begin() -> Versions:
            return {(PODS, None): kube.version}

        async def fill(_: float) -> None:
            pass

        async def fill_few() -> None:
            pass

        super().__init__(begin, fill, fill_few)

    def missed(self) -> None:
        self.gaps += 1


@pytest.fixture
async def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
async def api(
    kube: FakeKube, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ApiServer]:
    api = ApiServer(kube)
    put_pod(kube, "there")
    monkeypatch.setattr(followed, "_RETRY", 0.01)
    async with serve(api, tmp_path, monkeypatch):
        yield api


@asynccontextmanager
async def following(*namespaces: str, lists: Lists | None = None) -> AsyncIterator[Seen]:
    """What is seen of pods, by their names, and whether they were deleted."""
    seen: Seen = asyncio.Queue()

    def see(pod: Object, deleted: bool) -> None:
        assert pod["metadata"]["name"] != "odd", "it cannot be understood"
        seen.put_nowait((pod["metadata"]["name"], deleted))

    async with connect() as kube:
        task = asyncio.create_task(follow(kube, PODS, namespaces, see, LABEL_AGENT, lists))
        yield seen
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_there_is_seen_and_then_what_changes(api: ApiServer, kube: FakeKube) -> None:
    async with following() as seen:
        assert await seen.get() == ("there", False)
        put_pod(kube, "new")
        assert await seen.get() == ("new", False)
        kube.remove(PODS, "voice", "new")
        assert await seen.get() == ("new", True)
    assert api.requests == ["GET /api/v1/pods"]
    assert api.selectors["pods"] == {LABEL_AGENT}


@pytest.mark.usefixtures("api")
async def test_what_was_listed_is_not_seen_again_and_what_has_changed_since_is(
    kube: FakeKube,
) -> None:
    put_pod(kube, "goes")
    lists = Counted(kube)
    await lists.once()
    put_pod(kube, "new")
    kube.remove(PODS, "voice", "goes")
    async with following(lists=lists) as seen:
        assert [await seen.get(), await seen.get()] == [("new", False), ("goes", True)]
    assert lists.gaps == 0


async def test_who_comes_too_late_for_what_has_changed_since_sees_all_there_is(
    api: ApiServer, kube: FakeKube
) -> None:
    lists = Counted(kube)
    await lists.once()
    async with following(lists=lists) as seen:
        put_pod(kube, "new")
        assert await seen.get() == ("new", False)
        api.fail("too old resource version")
        assert [await seen.get(), await seen.get()] == [("there", False), ("new", False)]
    assert lists.gaps == 1, "nobody tells it what has gone meanwhile"


@pytest.mark.usefixtures("api")
async def test_only_the_given_namespaces_are_watched(kube: FakeKube) -> None:
    put_pod(kube, "foreign", namespace="another")
    async with following("voice", "support") as seen:
        assert await seen.get() == ("there", False)
        put_pod(kube, "new", namespace="support")
        assert await seen.get() == ("new", False)


@pytest.mark.usefixtures("api")
async def test_an_object_may_be_longer_than_what_comes_at_once(kube: FakeKube) -> None:
    async with following() as seen:
        assert await seen.get() == ("there", False)
        kube.put(PODS, "voice", {"metadata": {"name": "long"}, "spec": "x" * 1_000_000})
        put_pod(kube, "after it")
        assert [await seen.get(), await seen.get()] == [("long", False), ("after it", False)]


@pytest.mark.usefixtures("api")
async def test_an_object_that_cannot_be_understood_keeps_no_other_from_being_seen(
    kube: FakeKube, caplog: pytest.LogCaptureFixture
) -> None:
    put_pod(kube, "odd")
    async with following() as seen:
        assert await seen.get() == ("there", False)
        put_pod(kube, "new")
        assert await seen.get() == ("new", False)
    assert "voice/odd cannot be taken over" in caplog.messages


async def test_a_watch_that_missed_something_starts_anew_with_all_there_is(
    api: ApiServer, kube: FakeKube
) -> None:
    async with following() as seen:
        assert await seen.get() == ("there", False)
        api.fail("too old resource version")
        assert await seen.get() == ("there", False)
        put_pod(kube, "new")
        assert await seen.get() == ("new", False)


async def test_who_may_not_watch_tries_until_it_may(
    api: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    api.forbidden = frozenset({PODS})
    async with following() as seen:
        await until(lambda: len(api.requests) >= 2)
        api.forbidden = frozenset()
        assert await seen.get() == ("there", False)
    assert "pods cannot be watched: pods is forbidden" in caplog.messages
