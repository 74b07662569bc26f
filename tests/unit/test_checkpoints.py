"""Who is asked what was said in a call, and for how long."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.fake_kube import Call, FakeKube, put_secret
from tests.support.fake_pods import FakePods
from tests.support.fake_redis import FakeRedis, fake_redis
from tests.support.hours import in_hours
from tests.support.operator_stage import clock
from voicepod import checkpoints
from voicepod.api.agent import CheckpointStore, SecretRef
from voicepod.assignment.errors import PodUnreachable
from voicepod.assignment.messages import SessionRef
from voicepod.checkpoints import Checkpoints
from voicepod.kube.errors import Unavailable

pytestmark = pytest.mark.unit

SESSION = SessionRef("voice", "call", "uid-1")
STORE = CheckpointStore(redis_secret_ref=SecretRef(name="redis"))
POD = ("10.0.0.1", "pod-1")
KEY = "voicepod:checkpoint:voice:uid-1"


class Silent(FakePods):
    """Pods of a node that is gone: nobody answers, and nobody says so."""

    async def checkpoint(self, address: str, pod_uid: str) -> str | None:
        await asyncio.Event().wait()
        return None


@pytest.fixture
async def redis() -> AsyncIterator[FakeRedis]:
    async with fake_redis() as redis:
        redis.values[KEY] = "in Redis"
        yield redis


@pytest.fixture
def kube(redis: FakeRedis) -> FakeKube:
    kube = FakeKube()
    put_secret(kube, "voice", "redis", REDIS_URL=redis.url)
    return kube


@pytest.fixture
def pods() -> FakePods:
    pods = FakePods(lambda: clock())
    pods["pod-1"].checkpoint = "in the pod"
    return pods


async def test_the_pod_knows_it_best(kube: FakeKube, pods: FakePods, redis: FakeRedis) -> None:
    assert await Checkpoints(kube, pods).newest(SESSION, STORE, POD) == "in the pod"
    assert redis.asked == []


async def test_a_pod_that_is_gone_has_left_it_in_redis(kube: FakeKube, pods: FakePods) -> None:
    pods.fault = lambda act: PodUnreachable("no route to host")
    assert await Checkpoints(kube, pods).newest(SESSION, STORE, POD) == "in Redis"
    assert await Checkpoints(kube, pods).newest(SESSION, STORE) == "in Redis"


async def test_a_pod_that_has_forgotten_it_has_left_it_in_redis(
    kube: FakeKube, pods: FakePods
) -> None:
    pods["pod-1"].checkpoint = None
    assert await Checkpoints(kube, pods).newest(SESSION, STORE, POD) == "in Redis"


async def test_without_a_redis_only_the_pod_can_tell(kube: FakeKube, pods: FakePods) -> None:
    assert await Checkpoints(kube, pods).newest(SESSION, None) is None
    assert await Checkpoints(kube, pods).newest(SESSION, None, POD) == "in the pod"
    assert kube.calls == []


async def test_where_nothing_was_said_there_is_nothing(kube: FakeKube, redis: FakeRedis) -> None:
    redis.values.clear()
    assert await Checkpoints(kube, FakePods(clock)).newest(SESSION, STORE, POD) is None


@in_hours
async def test_a_pod_that_does_not_answer_is_given_a_second() -> None:
    before = clock()
    assert await Checkpoints(FakeKube(), Silent(clock)).newest(SESSION, None, POD) is None
    assert (clock() - before).total_seconds() == checkpoints._POD_TIMEOUT


async def test_a_redis_that_does_not_answer_is_given_up(
    kube: FakeKube, pods: FakePods, redis: FakeRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "_REDIS_TIMEOUT", 0.05)
    redis.silent = True
    assert await Checkpoints(kube, pods).newest(SESSION, STORE) is None


async def away(_: Call) -> None:
    raise Unavailable("restarting")


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("no secret", "Secret voice/redis does not exist; make it, with REDIS_URL"),
        ("no key", "Secret voice/redis has no text under REDIS_URL"),
        ("odd url", "REDIS_URL is not a URL such as redis://host:6379"),
        ("no server", "voice/call: the conversation so far"),
        ("broken", "Redis is loading"),
        ("no api server", "restarting"),
    ],
)
async def test_what_keeps_redis_from_being_asked_is_logged_and_keeps_no_caller_waiting(
    trouble: str,
    words: str,
    kube: FakeKube,
    pods: FakePods,
    redis: FakeRedis,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As long as a test need wait for a server that is not there.
    monkeypatch.setattr(checkpoints, "_REDIS_TIMEOUT", 0.2)
    match trouble:
        case "no secret":
            kube = FakeKube()
        case "no key":
            put_secret(kube, "voice", "redis", URL=redis.url)
        case "odd url":
            put_secret(kube, "voice", "redis", REDIS_URL="redis://:secret/word@redis:6379")
        case "no server":
            put_secret(kube, "voice", "redis", REDIS_URL="redis://:secret@127.0.0.1:1")
        case "broken":
            redis.broken = True
        case "no api server":
            kube.fault = away
    assert await Checkpoints(kube, pods).newest(SESSION, STORE) is None
    assert words in caplog.text
    assert ":secret" not in caplog.text
