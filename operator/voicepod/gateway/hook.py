"""Who may have a token: the platform's own service says so, as with nginx's ``auth_request``."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp import hdrs

from voicepod.gateway.door import NotTakenError
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.token_request import TokenRequest, parse_request

# In seconds. The caller waits for it: a service that looks up a session takes milliseconds, and
# one that is asked across the internet less than a second.
_TIMEOUT: Final = 5.0

# Bytes: as much as a request may have, since the answer may set each of its fields.
_MAX_ANSWER: Final = 256 * 1024

# What belongs to the connection or to the body, and not to who is asking.
_NOT_PASSED: Final = frozenset(
    name.lower()
    for name in (
        hdrs.ACCEPT_ENCODING,
        hdrs.CONNECTION,
        hdrs.CONTENT_ENCODING,
        hdrs.CONTENT_LENGTH,
        hdrs.CONTENT_TYPE,
        hdrs.EXPECT,
        hdrs.HOST,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
    )
)

# Of an answer that turns a caller away.
_KEPT: Final = (hdrs.CONTENT_TYPE, hdrs.WWW_AUTHENTICATE)

Admission = Callable[[Mapping[str, str], bytes, TokenRequest], Awaitable[TokenRequest]]
"""Given a caller's headers, body and request, returns the request as it shall be done.

Raises DeniedError, or NotTakenError."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the platform's service answered."""

    status: int
    headers: Mapping[str, str]
    """Those that a caller may need."""
    body: bytes


class DeniedError(Exception):
    """The platform does not let the caller in; its answer is passed on."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"the hook answered {answer.status}")
        self.answer = answer


async def anonymous(_: Mapping[str, str], __: bytes, request: TokenRequest) -> TokenRequest:
    """Let everybody in."""
    return request


class Hook:
    """Asks the platform's service at a URL."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def __call__(
        self, headers: Mapping[str, str], body: bytes, request: TokenRequest
    ) -> TokenRequest:
        """Return the request with what the service sets in it.

        Raises DeniedError, or NotTakenError when the service cannot be asked.
        """
        passed: list[tuple[str, str]] = [(hdrs.CONTENT_TYPE, "application/json")]
        passed += [pair for pair in headers.items() if pair[0].lower() not in _NOT_PASSED]
        try:
            async with asyncio.timeout(_TIMEOUT):
                try:
                    answer = await self._ask(passed, body or b"{}")
                except aiohttp.ClientConnectionError:
                    # The service closed an idle connection just as it was used, or is replaced.
                    answer = await self._ask(passed, body or b"{}")
        except TimeoutError:
            raise _failed(f"it did not answer within {_TIMEOUT:.0f} s") from None
        except aiohttp.ClientError as error:
            raise _failed(str(error)) from None
        if answer.status in (401, 403):
            raise DeniedError(answer)
        if not 200 <= answer.status < 300:
            raise _failed(f"it answered {answer.status}")
        try:
            return request.overridden_by(parse_request(answer.body))
        except ValueError as error:
            raise _failed(f"its answer is not a token request: {error}") from None

    async def _ask(self, headers: Sequence[tuple[str, str]], body: bytes) -> Answer:
        async with self._http.post(
            self._url, headers=headers, data=body, allow_redirects=False
        ) as response:
            received = b""
            async for chunk in response.content.iter_any():
                received += chunk
                if len(received) > _MAX_ANSWER:
                    raise _failed(f"its answer is larger than {_MAX_ANSWER} bytes")
            kept: dict[str, str] = {
                name: response.headers[name] for name in _KEPT if name in response.headers
            }
            return Answer(response.status, kept, received)


def _failed(why: str) -> NotTakenError:
    return NotTakenError(
        Outcome.HOOK_FAILED, "who may have a token cannot be found out now", f"the hook: {why}"
    )


def hook_session() -> aiohttp.ClientSession:
    """Return an HTTP session for ``Hook``; the caller closes it."""
    # No jar: one caller's cookies must never be sent for another.
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
