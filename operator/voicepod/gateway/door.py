"""The bounds that everything from outside passes: how much at once, how large, how slowly."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from voicepod.gateway.directory import Directory
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.seldom import Seldom

logger = logging.getLogger(__name__)

# In seconds, for the body to arrive; whoever dawdles must not keep a place from the others.
_READ_TIMEOUT: Final = 5.0

# In seconds, between two logs of refused requests: anybody can cause them.
_LOG_PERIOD: Final = 60.0


class NotTakenError(Exception):
    """A request is not done; the message says why, to whoever sent it."""

    def __init__(self, outcome: Outcome, message: str, detail: str = "") -> None:
        """``detail`` is for the log alone."""
        super().__init__(message)
        self.outcome = outcome
        self.detail = detail


@dataclass(slots=True)
class Door:
    """One way in. Each has places of its own: a crowd at one keeps nobody from the other."""

    directory: Directory
    what: str
    """What comes in by it, for the log and in answers: a plural."""
    places: int
    """How many requests may be under way at once."""
    max_body: int
    """In bytes."""
    _under_way: int = 0
    _log: Seldom = field(default_factory=lambda: Seldom(_LOG_PERIOD))

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Take a place while a request is under way. Raises NotTakenError."""
        if not self.directory.filled:
            raise NotTakenError(
                Outcome.UNAVAILABLE, "VoiceAgents and VoiceSessions are being listed"
            )
        if self._under_way >= self.places:
            raise NotTakenError(Outcome.BUSY, f"{self.places} {self.what} are under way already")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def read(self, request: web.Request) -> bytes:
        """Return the body. Raises NotTakenError."""
        try:
            async with asyncio.timeout(_READ_TIMEOUT):
                return await request.clone(client_max_size=self.max_body).read()
        except web.HTTPRequestEntityTooLarge:
            raise NotTakenError(
                Outcome.TOO_LARGE, f"the body is larger than {self.max_body} bytes"
            ) from None
        except TimeoutError:
            raise NotTakenError(
                Outcome.TOO_SLOW, f"the body did not arrive within {_READ_TIMEOUT:.0f} s"
            ) from None

    def refuse(self, error: NotTakenError) -> web.Response:
        """Return the answer to a request that is not done, and log it now and then."""
        outcome = error.outcome
        if self._log.allows(outcome):
            words = f"{error}: {error.detail}" if error.detail else str(error)
            logger.warning(
                "one of the %s was answered with %d: %s", self.what, outcome.status, words
            )
        return web.json_response({"error": str(error)}, status=outcome.status)
