import base64

import pytest

from tests.support.fake_kube import Call, FakeKube
from voicepod.assignment.messages import Act
from voicepod.assignment.signing import Verifier, generate_key
from voicepod.kube.client import SECRETS
from voicepod.kube.errors import Refused, Unavailable
from voicepod.signing_key import load_signer

pytestmark = pytest.mark.unit

PLACE = ("voicepod-system", "voicepod-signing-key")


async def test_the_key_is_made_once() -> None:
    kube = FakeKube()

    first = await load_signer(kube, *PLACE)
    second = await load_signer(kube, *PLACE)

    assert first.public_key == second.public_key
    assert [call.verb for call in kube.writes()] == ["create"]
    (secret,) = kube.objects(SECRETS)
    assert secret["metadata"]["namespace"] == "voicepod-system"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "voicepod"}


async def test_what_the_key_signs_is_trusted_by_who_has_its_public_half() -> None:
    signer = await load_signer(FakeKube(), *PLACE)

    token = signer.mint(Act.STATUS, "pod-uid", {"a": 1})

    assert Verifier(signer.public_key, "pod-uid").verify(token, Act.STATUS) == {"a": 1}


async def test_of_two_operators_that_start_at_once_both_sign_with_the_key_of_the_quicker() -> None:
    kube = FakeKube()
    theirs = base64.b64encode(generate_key()).decode()

    async def quicker(call: Call) -> None:
        if call.verb == "create":
            kube.fault = None
            kube.put(
                SECRETS, PLACE[0], {"metadata": {"name": PLACE[1]}, "data": {"key.pem": theirs}}
            )

    kube.fault = quicker

    ours = await load_signer(kube, *PLACE)

    assert ours.public_key == (await load_signer(kube, *PLACE)).public_key
    (secret,) = kube.objects(SECRETS)
    assert secret["data"] == {"key.pem": theirs}


@pytest.mark.parametrize("error", [Unavailable("it is away"), Refused("it is forbidden")])
async def test_a_key_that_cannot_be_read_is_never_replaced(error: Exception) -> None:
    kube = FakeKube()
    await load_signer(kube, *PLACE)

    async def away(call: Call) -> None:
        if call.verb == "get":
            raise error

    kube.fault = away

    with pytest.raises(type(error)):
        await load_signer(kube, *PLACE)
    assert [call.verb for call in kube.writes()] == ["create"]


async def test_a_secret_that_holds_no_key_is_an_error_and_stays() -> None:
    kube = FakeKube()
    data = {"key.pem": base64.b64encode(b"not a key").decode()}
    kube.put(SECRETS, PLACE[0], {"metadata": {"name": PLACE[1]}, "data": data})

    with pytest.raises(ValueError, match=r"\S"):
        await load_signer(kube, *PLACE)
    assert kube.writes() == []
