"""VoiceSessions as the gateway makes them, for a webhook and for a token alike."""

import base64
import hashlib
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from voicepod.api.names import ANNOTATION_AGENT_NAME, API_VERSION, LABEL_AGENT
from voicepod.gateway.directory import Directory
from voicepod.gateway.matching import Choice
from voicepod.gateway.notices import Notices
from voicepod.gateway.objects import Key
from voicepod.kube.client import VOICE_SESSIONS, Kube, Object
from voicepod.kube.errors import Conflict, NotFound, Refused

# 100 bits of the hash: no two rooms of a cluster's life will ever share them.
_HASH_LENGTH: Final = 20


def session_name(room: str, attempt: int = 1) -> str:
    """Return the name of a room's session; it follows from the room's name.

    So the API server lets one gateway make it, whichever come first: a webhook, another one, or a
    request for a token, which knows no sid yet. ``attempt`` is 2 and more for a later call in a
    room of the same name.
    """
    digest = base64.b32encode(hashlib.sha256(room.encode()).digest()).decode()
    name = f"room-{digest[:_HASH_LENGTH].lower()}"
    return name if attempt == 1 else f"{name}-{attempt}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A session that there is to be."""

    choice: Choice
    room: str
    room_sid: str = ""
    """Empty while the room is not open."""
    metadata: str = ""
    agent_name: str = ""
    """The agent name that a caller asked for."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Makes sessions, and has the directory know of them before the watch does."""

    kube: Kube
    directory: Directory
    notices: Notices
    _under_way: dict[tuple[str, str], str] = field(default_factory=dict)
    """By namespaces and rooms: the name of the session that is being made."""

    async def create(self, wanted: Wanted) -> Key | None:
        """Create a session under a name that is free; None when somebody was quicker.

        The directory knows who has the name then, and whoever wants a session decides anew. Raises
        an exception of ``kube.errors``.
        """
        namespace = wanted.choice.agent.key[0]
        place = namespace, wanted.room
        # Which name is free may change meanwhile, as an earlier session of the room is deleted.
        name = self._under_way.get(place) or self._free_name(*place)
        self._under_way[place] = name
        try:
            raw = await self.kube.create(VOICE_SESSIONS, namespace, build_session(name, wanted))
        except Conflict:
            with suppress(NotFound):
                self.directory.see_session(await self.kube.get(VOICE_SESSIONS, namespace, name))
            return None
        except (Refused, NotFound) as error:
            self.notices.refused(wanted.room, wanted.choice.agent, error)
            raise
        finally:
            self._under_way.pop(place, None)
        self.directory.see_session(raw)
        self.notices.contested(wanted.room, wanted.choice)
        return namespace, name

    def _free_name(self, namespace: str, room: str) -> str:
        names = (session_name(room, attempt) for attempt in count(1))
        return next(name for name in names if not self.directory.has_session((namespace, name)))


def build_session(name: str, wanted: Wanted) -> Object:
    """Return the manifest of a session."""
    namespace, agent = wanted.choice.agent.key
    annotations = {ANNOTATION_AGENT_NAME: wanted.agent_name} if wanted.agent_name else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {LABEL_AGENT: agent},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {
            "agentRef": {"name": agent},
            "room": wanted.room,
            "roomSid": wanted.room_sid,
            "metadata": wanted.metadata,
        },
    }
