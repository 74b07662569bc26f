"""LiveKit's rooms at scale: real ones, which stay though nobody is in them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from livekit.api.room_service import RoomService
from livekit.protocol.room import CreateRoomRequest

from local import livekit
from local.scale.patience import patiently
from local.scale.site import LIVEKIT_URL, PLANE
from voicepod.livekit.rooms import client_session

# In seconds: longer than any run.
_KEPT = 36_000


@dataclass(frozen=True, slots=True)
class OpenRooms:
    """Opens them."""

    service: RoomService

    async def open(self, name: str) -> str:
        """Open a room, or find it open; return its sid."""
        request = CreateRoomRequest(name=name, empty_timeout=_KEPT, departure_timeout=_KEPT)
        return (await patiently(lambda: self.service.create_room(request))).sid


@asynccontextmanager
async def opening() -> AsyncIterator[OpenRooms]:
    """Connect to the rig's LiveKit."""
    keys = livekit.credentials(PLANE.state)
    async with client_session() as http:
        yield OpenRooms(RoomService(http, LIVEKIT_URL, keys.api_key, keys.api_secret))
