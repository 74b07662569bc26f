"""Tokens that open one room and no other."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from livekit.api.access_token import AccessToken, VideoGrants

from voicepod.livekit.credentials import Credentials

# A token is used within milliseconds of being minted; once in the room LiveKit renews it itself.
_JOIN_TTL: Final = timedelta(minutes=2)


def join_token(
    credentials: Credentials,
    room: str,
    identity: str,
    name: str,
    metadata: str,
    attributes: Mapping[str, str],
) -> str:
    """Mint the token an agent joins its room with.

    Kind and grants are those that livekit-server gives to the agents it dispatches itself; without
    the kind, a job would not end when its caller leaves.
    """
    return (
        AccessToken(credentials.key, credentials.secret)
        .with_identity(identity)
        .with_name(name)
        .with_kind("agent")
        .with_metadata(metadata)
        .with_attributes(dict(attributes))
        .with_grants(
            VideoGrants(room_join=True, room=room, agent=True, can_update_own_metadata=True)
        )
        .with_ttl(_JOIN_TTL)
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
