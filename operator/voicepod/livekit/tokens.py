"""Tokens that open one room and no other."""

from collections.abc import Mapping
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
