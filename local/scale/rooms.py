"""LiveKit's rooms at scale: real ones, which stay though nobody is in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from livekit.api.room_service import RoomService
from livekit.api.twirp_client import ServerError
from livekit.protocol.room import CreateRoomRequest

from local import livekit
from local.scale.site import LIVEKIT_URL, PLANE
from voicepod.livekit.rooms import client_session

# In seconds: longer than any run.
_KEPT = 36_000

# In seconds, between attempts; and how many. A server that has too much to do says that there is
# none.
_PAUSE = 0.1
_ATTEMPTS = 300


@dataclass(frozen=True, slots=True)
class OpenRooms:
    """Opens them."""

    service: RoomService

    async def open(self, name: str) -> str:
        """Open a room, or find it open; return its sid."""
        request = CreateRoomRequest(name=name, empty_timeout=_KEPT, departure_timeout=_KEPT)
        for _ in range(_ATTEMPTS):
            try:
                return (await self.service.create_room(request)).sid
            except ServerError:
                await asyncio.sleep(_PAUSE)
        return (await self.service.create_room(request)).sid


@asynccontextmanager
async def opening() -> AsyncIterator[OpenRooms]:
    """Connect to the rig's LiveKit."""
    keys = livekit.credentials(PLANE.state)
    async with client_session() as http:
        yield OpenRooms(RoomService(http, LIVEKIT_URL, keys.api_key, keys.api_secret))
