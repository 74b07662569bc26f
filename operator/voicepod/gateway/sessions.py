"""VoiceSessions as the gateway makes them."""

import base64
import hashlib
from typing import Final

from voicepod.api.names import API_VERSION, LABEL_AGENT
from voicepod.gateway.objects import Agent
from voicepod.kube.client import Object

# 100 bits of the hash: no two rooms of a cluster's life will ever share them.
_HASH_LENGTH: Final = 20


def session_name(room_sid: str, attempt: int = 1) -> str:
    """Return the name of a room's session; it follows from the sid, so that a repeat is a conflict.

    ``attempt`` is 2 and more for a caller who comes back to the same room after its session ended.
    """
    digest = base64.b32encode(hashlib.sha256(room_sid.encode()).digest()).decode()
    name = f"room-{digest[:_HASH_LENGTH].lower()}"
    return name if attempt == 1 else f"{name}-{attempt}"


def build_session(name: str, agent: Agent, room: str, room_sid: str, metadata: str) -> Object:
    """Return the manifest of a session."""
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {
            "name": name,
            "namespace": agent.key[0],
            "labels": {LABEL_AGENT: agent.key[1]},
        },
        "spec": {
            "agentRef": {"name": agent.key[1]},
            "room": room,
            "roomSid": room_sid,
            "metadata": metadata,
        },
    }
