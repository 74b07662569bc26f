"""Credentials as VoiceAgents name them: read, kept, rotated, missing."""

import pytest

from tests.support.fake_kube import Call, FakeKube, put_secret
from voicepod.api.agent import LiveKit, SecretRef
from voicepod.api.conditions import Reason
from voicepod.credentials import CredentialsError, CredentialStore
from voicepod.kube.client import SECRETS
from voicepod.kube.errors import Refused, Unavailable
from voicepod.livekit.credentials import Credentials

pytestmark = pytest.mark.unit

LIVEKIT = LiveKit(url="ws://livekit", credentials_secret_ref=SecretRef(name="keys"))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def kube() -> FakeKube:
    kube = FakeKube()
    put_secret(kube, "voice", "keys", LIVEKIT_API_KEY="key", LIVEKIT_API_SECRET="old")
    return kube


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(kube: FakeKube, clock: Clock) -> CredentialStore:
    return CredentialStore(kube, clock)


def rotate(kube: FakeKube) -> None:
    put_secret(kube, "voice", "keys", LIVEKIT_API_KEY="key", LIVEKIT_API_SECRET="new")


async def away(_: Call) -> None:
    raise Unavailable("restarting")


async def test_a_burst_of_calls_reads_the_secret_once(
    kube: FakeKube, store: CredentialStore
) -> None:
    for _ in range(3):
        assert await store.get("voice", LIVEKIT) == Credentials("ws://livekit", "key", "old")
    assert kube.calls == [Call("get", "secrets", "voice", "keys")]


async def test_one_secret_may_serve_two_servers(store: CredentialStore) -> None:
    await store.get("voice", LIVEKIT)
    other = LIVEKIT.model_copy(update={"url": "ws://other"})
    assert await store.get("voice", other) == Credentials("ws://other", "key", "old")


async def test_a_rotated_secret_is_found_half_a_minute_later(
    kube: FakeKube, store: CredentialStore, clock: Clock
) -> None:
    await store.get("voice", LIVEKIT)
    rotate(kube)
    clock.now += 30
    assert (await store.get("voice", LIVEKIT)).secret == "new"


async def test_a_secret_that_livekit_refused_is_read_anew_at_once(
    kube: FakeKube, store: CredentialStore
) -> None:
    await store.get("voice", LIVEKIT)
    rotate(kube)
    store.forget("voice", LIVEKIT)
    assert (await store.get("voice", LIVEKIT)).secret == "new"


async def test_the_line_break_at_the_end_of_a_file_does_not_belong_to_the_secret(
    kube: FakeKube, store: CredentialStore
) -> None:
    put_secret(kube, "voice", "keys", LIVEKIT_API_KEY="key\n", LIVEKIT_API_SECRET="old\n")
    assert await store.get("voice", LIVEKIT) == Credentials("ws://livekit", "key", "old")


async def test_what_was_read_last_counts_while_the_api_server_is_away(
    kube: FakeKube, store: CredentialStore, clock: Clock
) -> None:
    await store.get("voice", LIVEKIT)
    clock.now += 3600
    kube.fault = away
    assert (await store.get("voice", LIVEKIT)).secret == "old"


async def test_what_was_never_read_is_unavailable_while_the_api_server_is_away(
    kube: FakeKube, store: CredentialStore
) -> None:
    kube.fault = away
    with pytest.raises(Unavailable):
        await store.get("voice", LIVEKIT)


async def test_a_missing_secret_is_named_and_found_when_it_appears(
    kube: FakeKube, store: CredentialStore
) -> None:
    kube.remove(SECRETS, "voice", "keys")
    with pytest.raises(CredentialsError, match="Secret voice/keys does not exist") as raised:
        await store.get("voice", LIVEKIT)
    assert raised.value.reason is Reason.SECRET_NOT_FOUND
    rotate(kube)
    assert (await store.get("voice", LIVEKIT)).secret == "new"


async def test_a_secret_that_was_deleted_is_not_used_any_more(
    kube: FakeKube, store: CredentialStore, clock: Clock
) -> None:
    await store.get("voice", LIVEKIT)
    kube.remove(SECRETS, "voice", "keys")
    clock.now += 30
    with pytest.raises(CredentialsError):
        await store.get("voice", LIVEKIT)
    kube.fault = away
    with pytest.raises(Unavailable):
        await store.get("voice", LIVEKIT)


async def test_a_secret_that_may_not_be_read_says_what_to_grant(
    kube: FakeKube, store: CredentialStore
) -> None:
    async def forbid(_: Call) -> None:
        raise Refused('secrets "keys" is forbidden')

    kube.fault = forbid
    with pytest.raises(CredentialsError, match=r"voice/keys may not be read.*RBAC") as raised:
        await store.get("voice", LIVEKIT)
    assert raised.value.reason is Reason.SECRET_FORBIDDEN


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (None, "LIVEKIT_API_KEY"),
        ({"LIVEKIT_API_SECRET": "b2xk"}, "LIVEKIT_API_KEY"),
        ({"LIVEKIT_API_KEY": "a2V5"}, "LIVEKIT_API_SECRET"),
        ({"LIVEKIT_API_KEY": "a2V5", "LIVEKIT_API_SECRET": ""}, "LIVEKIT_API_SECRET"),
        ({"LIVEKIT_API_KEY": "a2V5", "LIVEKIT_API_SECRET": "/w=="}, "LIVEKIT_API_SECRET"),
    ],
)
async def test_a_key_that_is_missing_or_no_text_is_named(
    kube: FakeKube, store: CredentialStore, data: dict[str, str] | None, key: str
) -> None:
    kube.put(SECRETS, "voice", {"metadata": {"name": "keys"}, "data": data})
    with pytest.raises(CredentialsError, match=rf"voice/keys has no text under {key}") as raised:
        await store.get("voice", LIVEKIT)
    assert raised.value.reason is Reason.SECRET_KEY_MISSING
