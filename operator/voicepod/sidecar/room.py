"""The LiveKit server's API for the one room of this pod, with a token for that room alone.

The calls are Twirp: a POST to ``/twirp/livekit.RoomService/{Method}`` with protobuf or JSON.
"""

import re
from dataclasses import dataclass
from typing import Final

import aiohttp

from voicepod.assignment.messages import RoomRef
from voicepod.sidecar.protocol import models
from voicepod.sidecar.protocol import room as messages

PROTOBUF: Final = "application/protobuf"

# Seconds. LiveKit answers within milliseconds; the agent's own SDK waits for 60.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=2)


class RoomUnreachable(Exception):  # noqa: N818 - named by what the room is
    """LiveKit did not answer, or answered with an error; the text says which."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What LiveKit answered, whatever its status."""

    status: int
    content_type: str
    body: bytes


class Room:
    """One room, and what may be done to it."""

    def __init__(
        self, http: aiohttp.ClientSession, livekit_url: str, ref: RoomRef, token: str
    ) -> None:
        self.ref = ref
        self._http = http
        # The same server answers websockets and calls: ws:// is http://, and wss:// is https://.
        self._url = re.sub("^ws", "http", livekit_url).rstrip("/")
        self._token = token

    async def call(self, method: str, body: bytes, content_type: str) -> Answer:
        """Call a method of LiveKit's RoomService. Raises RoomUnreachable without an answer."""
        try:
            async with self._http.post(
                f"{self._url}/twirp/livekit.RoomService/{method}",
                data=body,
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
                timeout=_TIMEOUT,
            ) as response:
                return Answer(response.status, response.content_type, await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = str(error) or type(error).__name__
            raise RoomUnreachable(f"LiveKit did not answer {method}: {what}") from error

    async def participants(self) -> list[models.ParticipantInfo]:
        """Return who is in the room. Raises RoomUnreachable, on an error of LiveKit as well."""
        request = messages.ListParticipantsRequest(room=self.ref.name)
        answer = await self.call("ListParticipants", request.SerializeToString(), PROTOBUF)
        if answer.status != 200:
            text = answer.body.decode(errors="replace")[:200]
            raise RoomUnreachable(f"LiveKit answered ListParticipants with {answer.status}: {text}")
        return list(messages.ListParticipantsResponse.FromString(answer.body).participants)
