"""Who may ask: requests that show a key which the operator has put into the pod's manifest."""

import hmac

from aiohttp import web


def require(request: web.Request, key: str) -> None:
    """Raise HTTPUnauthorized unless the request shows the key."""
    shown = request.headers.get("Authorization", "")
    # As bytes: text that is not ASCII cannot be compared in constant time.
    if not hmac.compare_digest(shown.encode(errors="replace"), f"Bearer {key}".encode()):
        raise web.HTTPUnauthorized(text="the key is missing or wrong")
