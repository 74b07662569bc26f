"""LiveKit's rooms in memory."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import LiveKitError, Unauthorized
from voicepod.livekit.rooms import ListedRoom, Room, Rooms


class FakeLiveKit:
    """Servers by their URL; each holds the rooms and dispatches that a test puts there."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.dispatches: dict[str, dict[str, str]] = {}
        self.faults: dict[str, LiveKitError] = {}
        """By URL: what every request to it raises."""
        self.secret = ""
        """The only one that is accepted; empty: whichever."""
        self.asked: list[str] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """Called while a request is under way: what happens then."""

    def join(self, name: str, identity: str) -> None:
        """Have an agent join a room, if it is there."""
        if room := self.rooms.get(name):
            self.rooms[name] = replace(room, others=room.others | {identity})

    def __call__(self, credentials: Credentials) -> Rooms:
        """Return the rooms of a project, as ``Rooms`` does."""
        return _FakeRooms(self, credentials)


class _FakeRooms(Rooms):
    def __init__(self, server: FakeLiveKit, credentials: Credentials) -> None:
        self._server = server
        self._credentials = credentials

    async def look(self, name: str) -> Room:
        await self._ask_server("look")
        return self._server.rooms.get(name, Room(name))

    async def all(self) -> list[ListedRoom]:
        await self._ask_server("all")
        return [
            ListedRoom(room.name, room.sid, len(room.callers) + len(room.others))
            for room in self._server.rooms.values()
        ]

    async def open(self, name: str) -> Room | None:
        await self._ask_server("open")
        room = self._server.rooms.setdefault(name, Room(name, f"RM_{len(self._server.asked)}"))
        return None if room.callers or room.others else room

    async def close(self, name: str) -> None:
        await self._ask_server("close")
        self._server.rooms.pop(name, None)

    async def remove(self, name: str, identity: str) -> None:
        await self._ask_server("remove")
        if room := self._server.rooms.get(name):
            here = replace(room, others=room.others - {identity}, callers=room.callers - {identity})
            self._server.rooms[name] = here

    async def check(self) -> None:
        await self._ask_server("check")

    async def dispatches(self, name: str) -> dict[str, str]:
        await self._ask_server("dispatches")
        return self._server.dispatches.get(name, {})

    async def _ask_server(self, method: str) -> None:
        # Others have their turn while it answers, as they have with a server on the network.
        await asyncio.sleep(0)
        self._server.meanwhile()
        self._server.asked.append(method)
        if fault := self._server.faults.get(self._credentials.url):
            raise fault
        if self._server.secret not in ("", self._credentials.secret):
            raise Unauthorized("LiveKit does not accept the API key and its secret")
