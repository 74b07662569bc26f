"""Which webhooks are believed, and what they say."""

import base64
import hashlib
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol.models import ParticipantInfo

from voicepod.livekit.credentials import Credentials
from voicepod.livekit.webhooks import (
    InvalidSignatureError,
    MalformedEventError,
    parse,
    verify,
)

pytestmark = pytest.mark.unit

OURS = Credentials("ws://one", "key-one", "one-secret-of-at-least-32-characters")
OTHERS = Credentials("ws://two", "key-two", "two-secret-of-at-least-32-characters")
BODY = b'{"event": "room_started"}'


def sign(
    body: bytes = BODY, credentials: Credentials = OURS, algorithm: str = "HS256", **claims: Any
) -> str:
    payload = {
        "iss": credentials.key,
        "exp": int(time.time()) + 3600,  # collected long before it is run
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
        **claims,
    }
    return jwt.encode(
        {name: value for name, value in payload.items() if value is not None},
        "" if algorithm == "none" else credentials.secret,
        algorithm=algorithm,
    )


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_a_webhook_is_believed_and_its_credentials_are_named(prefix: str) -> None:
    assert verify(BODY, prefix + sign(), [OTHERS, OURS]) is OURS


def test_two_servers_may_share_the_name_of_a_key_but_not_its_secret() -> None:
    namesake = Credentials("ws://three", OURS.key, "three-secret-of-at-least-32-chars")
    assert verify(BODY, sign(credentials=namesake), [OURS, namesake]) is namesake
    assert not OURS.same_key_as(namesake)


def test_a_clock_that_is_half_a_minute_off_does_no_harm() -> None:
    assert verify(BODY, sign(exp=int(time.time()) - 30), [OURS]) is OURS


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "Authorization header is missing"),
        ("Bearer ", "Authorization header is missing"),
        ("not a token", "token is not valid"),
        ("\udcff", "token is not valid"),
        (sign(credentials=OTHERS), "API key that no VoiceAgent uses"),
        (sign(iss=None), "API key that no VoiceAgent uses"),
        (sign(iss=OTHERS.key), "API key that no VoiceAgent uses"),
        (sign(credentials=OTHERS, iss=OURS.key), "Signature verification failed"),
        (sign(algorithm="none"), "token is not valid"),
        (sign(exp=int(time.time()) - 300), "expired"),
        (sign(exp=None), "exp"),
        (sign(body=b"another"), "not the one that was signed"),
        (sign(sha256=None), "not the one that was signed"),
        (sign(sha256="ä"), "not the one that was signed"),
    ],
)
def test_a_webhook_that_does_not_come_from_our_livekit_is_refused(token: str, why: str) -> None:
    with pytest.raises(InvalidSignatureError, match=why):
        verify(BODY, token, [OURS])


@given(st.text(st.characters(exclude_categories=[])))
def test_whatever_stands_in_the_header_is_no_more_than_invalid(header: str) -> None:
    with pytest.raises(InvalidSignatureError):
        verify(BODY, header, [OURS])


def test_an_event_is_parsed_and_what_is_new_in_it_ignored() -> None:
    event = parse(
        json.dumps(
            {
                "event": "participant_joined",
                "room": {"sid": "RM_1", "name": "a room", "invented": {"later": 1}},
                "participant": {"identity": "bob", "kind": "SIP"},
                "id": "EV_1",
                "createdAt": "1700000000",
            }
        ).encode()
    )
    assert (event.event, event.id, event.created_at) == ("participant_joined", "EV_1", 1700000000)
    assert (event.room.sid, event.room.name) == ("RM_1", "a room")
    assert event.participant.kind == ParticipantInfo.Kind.SIP


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b'{"event": 7}',
        b'{"event": "room_started", "room": {"name": "\\ud800"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_an_event_is_called_so(body: bytes) -> None:
    with pytest.raises(MalformedEventError, match="not a LiveKit webhook event"):
        parse(body)
