"""The conversation in Redis: the newest one counts, and no call waits for it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from livekit.protocol import agent

from tests.support.fake_redis import FakeRedis, fake_redis
from tests.support.waiting import until
from tests.unit.sidecar.fakes import Rig, rig
from tests.unit.sidecar.test_runtime_api import keep
from voicepod.assignment.messages import SessionRef
from voicepod.sidecar import store as store_module
from voicepod.sidecar import supervisor
from voicepod.sidecar.store import Store

pytestmark = pytest.mark.unit

SESSION = SessionRef("voice", "demo", "session-uid")
KEY = "voicepod:checkpoint:voice:session-uid"


@pytest.fixture
async def redis() -> AsyncIterator[FakeRedis]:
    async with fake_redis() as redis:
        yield redis


@pytest.fixture
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_RETRIES", 1)
    monkeypatch.setattr(store_module, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(store_module, "_LONGEST_PAUSE", 0.0)


@pytest.fixture
async def store(redis: FakeRedis) -> AsyncIterator[Store]:
    store = Store(redis.url, 7200)
    yield store
    await store.close()


@pytest.fixture
async def pod(store: Store) -> AsyncIterator[Rig]:
    """A pod whose VoiceAgent has a Redis."""
    async with rig(store) as pod:
        yield pod


async def test_what_was_said_is_kept_for_its_time(redis: FakeRedis, store: Store) -> None:
    store.put(SESSION, 'so far: "naïve" ☎')
    await until(lambda: redis.values)
    assert redis.values == {KEY: 'so far: "naïve" ☎'}
    assert redis.ttls == {KEY: 7200}


async def test_of_those_that_come_meanwhile_the_newest_is_written(
    redis: FakeRedis, store: Store
) -> None:
    for turn in range(100):
        store.put(SESSION, f"turn {turn}")
    await until(lambda: redis.values.get(KEY) == "turn 99")
    assert len(redis.asked) < 100


@pytest.mark.usefixtures("_no_pauses")
async def test_a_redis_that_is_away_is_logged_and_forgiven(
    redis: FakeRedis, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(redis.url, 60)
    redis.broken = True
    store.put(SESSION, "one")
    await until(
        lambda: "the conversation is not in Redis, but in this pod: Redis is" in caplog.text
    )
    redis.broken = False
    store.put(SESSION, "two")
    await until(lambda: redis.values)
    await store.close()
    assert redis.values == {KEY: "two"}
    assert "secret" not in caplog.text


async def test_a_redis_that_does_not_answer_does_not_hold_the_pod_up(
    redis: FakeRedis, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_LAST_WORDS", 0.01)
    redis.silent = True
    store.put(SESSION, "one")
    await store.close()
    assert redis.values == {}


@pytest.mark.parametrize("url", ["http://redis", "redis://:pass/word@redis:6379"])
def test_a_url_of_something_else_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^the URL of Redis is not one such as redis://host:6379$"
    ):
        Store(url, 60)


async def test_each_checkpoint_of_a_call_is_kept_until_its_session_is_over(
    pod: Rig, redis: FakeRedis
) -> None:
    worker = await pod.running()
    await keep(pod, "so far")
    await until(lambda: redis.values == {KEY: "so far"})
    await pod.end()
    await keep(pod, "and goodbye")
    await until(lambda: redis.values == {KEY: "and goodbye"})
    await worker.report(agent.JobStatus.JS_SUCCESS)
    await until(lambda: not redis.values)


async def test_what_a_lost_agent_said_stays(pod: Rig, redis: FakeRedis) -> None:
    worker = await pod.running()
    await keep(pod, "so far")
    await until(lambda: redis.values)
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    await asyncio.sleep(0.05)
    assert redis.values == {KEY: "so far"}


async def test_what_was_said_in_a_pod_that_is_deleted_stays(
    pod: Rig, redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_HANDOVER", 0.01)
    worker = await pod.running()
    await keep(pod, "so far")
    await until(lambda: redis.values)
    stopping = asyncio.create_task(pod.get("/stopping", Authorization="Bearer stop-key"))
    await worker.receive("termination")
    await worker.report(agent.JobStatus.JS_SUCCESS)
    assert await stopping == 200
    await asyncio.sleep(0.05)
    assert redis.values == {KEY: "so far"}
