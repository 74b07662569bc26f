"""What a sidecar's HTTP session leads to: the operator's ``/hint``, and LiveKit's RoomService."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response."""

    status: int
    body: bytes = b""
    content_type: str = "application/protobuf"

    @property
    def ok(self) -> bool:
        """Whether it is no error."""
        return self.status < 400

    async def read(self) -> bytes:
        """Return the body."""
        return self.body


Server = Callable[[str, dict[str, Any]], Awaitable[Answer]]
"""Called with the path and the arguments of ``post``; may raise what aiohttp raises."""


class Http:
    """Stands in for aiohttp's session, as far as it is used."""

    def __init__(self, servers: dict[str, Server]) -> None:
        """``servers`` by the beginning of their URLs."""
        self._servers = servers

    def post(self, url: str, **request: Any) -> "_Post":
        """Return what sends a request when it is entered."""
        return _Post(self._servers, url, request)


@dataclass(slots=True)
class _Post:
    servers: dict[str, Server]
    url: str
    request: dict[str, Any]

    async def __aenter__(self) -> Answer:
        for prefix, server in self.servers.items():
            if self.url.startswith(prefix):
                return await server(self.url.removeprefix(prefix), self.request)
        raise AssertionError(f"nobody answers at {self.url}")

    async def __aexit__(self, *_: object) -> None:
        return None
