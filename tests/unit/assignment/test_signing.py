"""A pod believes the operator, and nobody else."""

import base64
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from voicepod.assignment.errors import TokenError
from voicepod.assignment.messages import Act
from voicepod.assignment.signing import Signer, Verifier, generate_key

pytestmark = pytest.mark.unit


def jws(parts: list[bytes]) -> bytes:
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def test_the_pod_gets_the_body_that_the_operator_signed() -> None:
    signer = Signer(generate_key())
    token = signer.mint(Act.END, "pod-1", {"reason": "CallerLeft"})
    assert Verifier(signer.public_key, "pod-1").verify(token, Act.END) == {"reason": "CallerLeft"}


def test_a_message_of_another_key_is_refused() -> None:
    token = Signer(generate_key()).mint(Act.END, "pod-1", {})
    verifier = Verifier(Signer(generate_key()).public_key, "pod-1")
    with pytest.raises(TokenError, match="Signature verification failed"):
        verifier.verify(token, Act.END)


def test_a_message_for_another_pod_is_refused() -> None:
    signer = Signer(generate_key())
    with pytest.raises(TokenError, match="Audience"):
        Verifier(signer.public_key, "pod-1").verify(signer.mint(Act.END, "pod-2", {}), Act.END)


def test_a_message_for_another_act_is_refused() -> None:
    signer = Signer(generate_key())
    with pytest.raises(TokenError, match="signed for the act 'status', posted as 'end'"):
        Verifier(signer.public_key, "pod-1").verify(signer.mint(Act.STATUS, "pod-1", {}), Act.END)


def test_an_expired_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(generate_key())
    an_hour_ago = time.time() - 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: an_hour_ago)
        token = signer.mint(Act.END, "pod-1", {})
    with pytest.raises(TokenError, match="expired"):
        Verifier(signer.public_key, "pod-1").verify(token, Act.END)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_only_a_signature_of_the_operators_kind_counts(algorithm: str) -> None:
    # HS256 with the public key as the secret is the classic way around a careless verifier.
    signer = Signer(generate_key())
    now = int(time.time())
    claims = {
        "iss": "voicepod-operator",
        "aud": "pod-1",
        "iat": now,
        "exp": now + 30,
        "act": "end",
        "body": {},
    }
    secret = "" if algorithm == "none" else signer.public_key
    with pytest.raises(TokenError, match="alg"):
        Verifier(signer.public_key, "pod-1").verify(
            jwt.encode(claims, secret, algorithm=algorithm), Act.END
        )


@given(st.binary() | st.lists(st.binary(), min_size=3, max_size=3).map(jws))
def test_what_is_no_token_is_refused(token: bytes) -> None:
    with pytest.raises(TokenError):
        Verifier(Signer(generate_key()).public_key, "pod-1").verify(token, Act.END)


def test_a_key_of_another_kind_is_no_signing_key() -> None:
    key = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(ValueError, match="not an Ed25519 key"):
        Signer(key)


@pytest.mark.parametrize("key", ["not base64!", "c2hvcnQ="])
def test_a_public_key_of_the_wrong_form_is_refused_at_once(key: str) -> None:
    with pytest.raises(ValueError, match="not base64 of 32 bytes"):
        Verifier(key, "pod-1")
