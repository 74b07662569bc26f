"""Which web pages may ask for tokens: the few lines of CORS that one path needs.

A page is known by the ``Origin`` that its browser sends. Apps and servers send none, and are not
meant: whoever wants to get past this has no need of a browser.
"""

from collections.abc import Collection, Mapping
from typing import Final

from aiohttp import hdrs

# In seconds: as long as Chrome remembers a preflight at most.
_MAX_AGE: Final = 7200


class Origins:
    """The origins of the platform's web pages, such as ``https://app.example.com``."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(allowed)

    def allow(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers may be done."""
        return headers.get(hdrs.ORIGIN) in (None, *self._allowed)

    def of_answer(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what lets a page read the answer to a request with these headers."""
        answer: dict[str, str] = {hdrs.VARY: hdrs.ORIGIN}
        if headers.get(hdrs.ORIGIN) in self._allowed:
            answer[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = headers[hdrs.ORIGIN]
            answer[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            answer[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = hdrs.RETRY_AFTER
        return answer

    def of_preflight(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return what lets a page send a request at all, with whichever headers it asks for."""
        return {
            **self.of_answer(headers),
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: hdrs.METH_POST,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ""),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE),
        }
