"""Webhooks of LiveKit: whether one is genuine, and what it says.

LiveKit signs each webhook with an API key: a JWT in ``Authorization`` whose issuer is the key, and
whose ``sha256`` is the hash of the body. https://docs.livekit.io/intro/basics/rooms-participants-tracks/webhooks-events/
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

import jwt
from google.protobuf.json_format import Parse, ParseError
from livekit.protocol.webhook import WebhookEvent

# How far the clocks of LiveKit and of the gateway may be apart, in seconds.
_LEEWAY: Final = 60


class InvalidSignatureError(Exception):
    """The webhook does not come from a LiveKit server whose key is known; the message says why."""


class MalformedEventError(Exception):
    """The body is not a webhook event; the message says why."""


def verify(body: bytes, authorization: str, secrets: Mapping[str, str]) -> str:
    """Return the API key that signed a webhook; ``secrets`` maps each known key to its secret.

    Raises InvalidSignatureError.
    """
    token = authorization.removeprefix("Bearer ").strip()
    if not token:
        raise InvalidSignatureError("the Authorization header is missing")
    try:
        key = str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
        secret = secrets.get(key)
        if secret is None:
            raise InvalidSignatureError("it is signed with an API key that no VoiceAgent uses")
        claims = jwt.decode(
            token, secret, algorithms=["HS256"], leeway=_LEEWAY, options={"require": ["exp", "iss"]}
        )
    except jwt.PyJWTError as error:
        raise InvalidSignatureError(f"its token is not valid: {error}") from error
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    if not hmac.compare_digest(str(claims.get("sha256", "")), digest):
        raise InvalidSignatureError("its body is not the one that was signed")
    return key


def parse(body: bytes) -> WebhookEvent:
    """Return the event of a webhook's body.

    Raises MalformedEventError.
    """
    try:
        return Parse(body, WebhookEvent(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError) as error:
        raise MalformedEventError(f"the body is not a LiveKit webhook event: {error}") from error
