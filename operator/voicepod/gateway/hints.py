"""Tells the operator that a room has changed, without a write to the API server.

A hint is a shortcut and never the last word: an operator that is away, or that has decided the
session's end already, does not take it, and the session is touched then.
"""

from typing import Final

import aiohttp

from voicepod.gateway.objects import Key

# In seconds. The operator only takes a note; one that is being replaced does not answer, and the
# caller must not wait for it.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=0.5)


class Hints:
    """The operator's ``/hint``."""

    def __init__(self, http: aiohttp.ClientSession, operator_url: str) -> None:
        self._http = http
        self._url = f"{operator_url.rstrip('/')}/hint"

    async def taken(self, session: Key) -> bool:
        """Whether the operator looks at a session's room now, as it goes on."""
        namespace, name = session
        body = {"namespace": namespace, "session": name}
        try:
            async with self._http.post(self._url, json=body, timeout=_TIMEOUT) as response:
                return response.status == 202
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
