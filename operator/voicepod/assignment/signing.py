"""Who may tell a pod what to do: signed messages (Ed25519), for one pod, one act, a few seconds.

A pod reaches other pods' ports wherever no NetworkPolicy is enforced; the signature is what keeps
one agent's pod from ending another one's call. The body of every request is a compact JWT whose
claim ``body`` is the message itself. Replays are not kept out by a store of ``jti``: within its
lifetime a message can only do again to its pod what it has done already, and that is nothing.
"""

import base64
import time
import uuid
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voicepod.assignment.errors import TokenError
from voicepod.assignment.messages import Act

_ALGORITHM: Final = "EdDSA"
_ISSUER: Final = "voicepod-operator"

# Seconds a message is good for: longer than any timeout of the client, so that what arrives late is
# answered and not refused.
_LIFETIME: Final = 30

# Seconds that the clocks of two nodes may differ by. NTP keeps them within one.
_LEEWAY: Final = 10


def generate_key() -> bytes:
    """Return a new private key as PEM (PKCS #8)."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


class Signer:
    """The operator's half."""

    def __init__(self, private_key: bytes) -> None:
        """``private_key`` is PEM; raises ValueError if it is not an Ed25519 key."""
        key = serialization.load_pem_private_key(private_key, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("the signing key is not an Ed25519 key")
        self._key = key

    @property
    def public_key(self) -> str:
        """Base64 of the raw 32 bytes that a ``Verifier`` takes."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def mint(self, act: Act, pod_uid: str, body: dict[str, Any]) -> str:
        """Return a compact JWT that asks one pod to do one act."""
        now = int(time.time())
        claims = {
            "iss": _ISSUER,
            "aud": pod_uid,
            "iat": now,
            "exp": now + _LIFETIME,
            "jti": str(uuid.uuid4()),
            "act": act,
            "body": body,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)


class Verifier:
    """The half of one pod."""

    def __init__(self, public_key: str, pod_uid: str) -> None:
        """Raises ValueError if ``public_key`` is not base64 of 32 bytes."""
        try:
            raw = base64.b64decode(public_key, validate=True)
            self._key = Ed25519PublicKey.from_public_bytes(raw)
        except ValueError:
            raise ValueError("the operator's public key is not base64 of 32 bytes") from None
        self._pod_uid = pod_uid

    def verify(self, token: str | bytes, act: Act) -> object:
        """Return the body of a message. Raises TokenError that says why it is not trusted."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=self._pod_uid,
                issuer=_ISSUER,
                leeway=_LEEWAY,
                options={"require": ["iss", "aud", "iat", "exp", "act", "body"]},
            )
        except jwt.InvalidTokenError as error:
            raise TokenError(str(error)) from error
        if claims["act"] != act:
            raise TokenError(f"signed for the act {claims['act']!r}, posted as {str(act)!r}")
        return claims["body"]
