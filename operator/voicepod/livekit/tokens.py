"""Tokens that open one room and no other."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from livekit.api.access_token import AccessToken, VideoGrants

from voicepod.assignment.messages import Accepted
from voicepod.livekit.credentials import Credentials

# A token is used within milliseconds of being minted; once in the room LiveKit renews it itself.
_JOIN_TTL: Final = timedelta(minutes=2)

# The SDKs keep a token until a minute before it expires: long enough that what is asked for when a
# page opens still holds when its reader presses the button, and short enough that a token which
# leaks from a log opens no room the next day.
_CALLER_TTL: Final = timedelta(minutes=10)

# 64 bits: it only has to tell an agent from whoever else is in its room.
_IDENTITY_DIGITS: Final = 16


def agent_identity(room: str) -> str:
    """Return the identity of all agents in rooms of this name but those that choose another."""
    return f"agent-{hashlib.sha256(room.encode()).hexdigest()[:_IDENTITY_DIGITS]}"


def fenced(accepted: Accepted, job_id: str, room: str) -> Accepted:
    """Return what an agent joins its room as: under one identity in all rooms of this name.

    So LiveKit puts out whichever agent is there when another one joins: the one that it replaces,
    or that of an earlier call, which a deleted session leaves behind, or which comes back to its
    room after LiveKit was started anew. SDKs name an agent after its job; a name that the agent's
    own code has chosen is kept.
    """
    if accepted.identity != f"agent-{job_id}":
        return accepted
    return replace(accepted, identity=agent_identity(room))


def join_token(
    credentials: Credentials,
    room: str,
    accepted: Accepted,
) -> str:
    """Mint the token an agent joins its room with, as what it accepted the job with.

    Kind and grants are those that livekit-server gives to the agents it dispatches itself; without
    the kind, a job would not end when its caller leaves.
    """
    allowed = accepted.permissions
    grants = VideoGrants(
        room_join=True,
        room=room,
        agent=True,
        can_publish=allowed.can_publish,
        can_subscribe=allowed.can_subscribe,
        can_publish_data=allowed.can_publish_data,
        can_update_own_metadata=allowed.can_update_metadata,
        hidden=allowed.hidden,
    )
    return (
        AccessToken(credentials.key, credentials.secret)
        .with_identity(accepted.identity)
        .with_name(accepted.name)
        .with_kind("agent")
        .with_metadata(accepted.metadata)
        .with_attributes(accepted.attributes)
        .with_grants(grants)
        .with_ttl(_JOIN_TTL)
        .to_jwt()
    )


def caller_token(
    credentials: Credentials,
    room: str,
    identity: str,
    name: str = "",
    metadata: str = "",
    attributes: Mapping[str, str] | None = None,
) -> str:
    """Mint the token a caller joins a room with, and what LiveKit lets a participant do by default.

    It asks for no agent: voicepod brings the room's, and LiveKit would dispatch a second one.
    """
    return (
        AccessToken(credentials.key, credentials.secret)
        .with_identity(identity)
        .with_name(name)
        .with_metadata(metadata)
        .with_attributes(dict(attributes or {}))
        .with_grants(VideoGrants(room_join=True, room=room))
        .with_ttl(_CALLER_TTL)
        .to_jwt()
    )


def room_token(credentials: Credentials, room: str, lifetime: timedelta) -> str:
    """Mint the token a sidecar administers its own room with, for as long as a call may last."""
    return (
        AccessToken(credentials.key, credentials.secret)
        .with_identity("voicepod-sidecar")
        .with_grants(VideoGrants(room_admin=True, room=room))
        .with_ttl(lifetime)
        .to_jwt()
    )
