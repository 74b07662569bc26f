"""Webhooks of LiveKit: whether one is genuine, and what it says.

LiveKit signs each webhook with an API key: a JWT in ``Authorization`` whose issuer is the key, and
whose ``sha256`` is the hash of the body. https://docs.livekit.io/intro/basics/rooms-participants-tracks/webhooks-events/
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import jwt
from google.protobuf.json_format import Parse, ParseError
from livekit.protocol.webhook import WebhookEvent

from voicepod.livekit.credentials import Credentials

# How far the clocks of LiveKit and of the gateway may be apart, in seconds.
_LEEWAY: Final = 60


class InvalidSignatureError(Exception):
    """The webhook does not come from a LiveKit server whose key is known; the message says why."""


class MalformedEventError(Exception):
    """The body is not a webhook event; the message says why."""


def verify(body: bytes, authorization: str, known: Iterable[Credentials]) -> Credentials:
    """Return the credentials, of those that are known, that a webhook is signed with.

    Several may share a key and differ in the secret: two servers in development are both called
    "devkey". Raises InvalidSignatureError.
    """
    token = authorization.removeprefix("Bearer ").strip()
    if not token:
        raise InvalidSignatureError("the Authorization header is missing")
    try:
        key = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidSignatureError(f"the webhook's token is not valid: {error}") from error
    why = "the webhook is signed with an API key that no VoiceAgent uses"
    for credentials in known:
        if credentials.key != key:
            continue
        try:
            claims = jwt.decode(
                token,
                credentials.secret,
                algorithms=["HS256"],
                leeway=_LEEWAY,
                options={"require": ["exp", "iss"]},
            )
        except jwt.PyJWTError as error:
            why = f"the webhook's token is not valid: {error}"
            continue
        digest = base64.b64encode(hashlib.sha256(body).digest())
        if not hmac.compare_digest(str(claims.get("sha256", "")).encode(), digest):
            raise InvalidSignatureError("the webhook's body is not the one that was signed")
        return credentials
    raise InvalidSignatureError(why)


def parse(body: bytes) -> WebhookEvent:
    """Return the event of a webhook's body.

    Raises MalformedEventError.
    """
    try:
        event = Parse(body, WebhookEvent(), ignore_unknown_fields=True)
    except (ParseError, UnicodeDecodeError) as error:
        raise MalformedEventError(f"the body is not a LiveKit webhook event: {error}") from error
    if not event.event:
        raise MalformedEventError("the body is not a LiveKit webhook event: it names no event")
    return event
