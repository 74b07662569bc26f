"""What the runtime in the agent's process tells its sidecar, over HTTP on the pod's loopback.

It shows the key that the operator has drawn for this pod: the containers of a pod share the
loopback, and another one shall not speak for the agent.
"""

import json
from typing import Final

from aiohttp import web

from voicepod.assignment.errors import MessageError
from voicepod.assignment.ports import RUNTIME_PATH
from voicepod.sidecar import bearer
from voicepod.sidecar.health import Beat
from voicepod.sidecar.supervisor import Supervisor

# Bytes. The longest part of a beat is the error that a session has closed with.
_MAX_BEAT: Final = 16 * 1024

# Bytes. An hour's talk is some 100 kB with all that belongs to it; of what is more the runtime
# sends the newest part.
_MAX_CHECKPOINT: Final = 512 * 1024


class RuntimeApi:
    """``POST /voicepod/beat`` and ``PUT /voicepod/checkpoint``."""

    def __init__(self, supervisor: Supervisor, key: str) -> None:
        self._supervisor = supervisor
        self._key = key

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of both."""
        return [
            web.post(f"{RUNTIME_PATH}/beat", self.beat),
            web.put(f"{RUNTIME_PATH}/checkpoint", self.checkpoint),
        ]

    async def beat(self, request: web.Request) -> web.Response:
        """Take note of how the agent is."""
        text = await self._text(request, _MAX_BEAT)
        try:
            self._supervisor.beat(Beat.from_dict(json.loads(text)))
        except (ValueError, MessageError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.Response(status=204)

    async def checkpoint(self, request: web.Request) -> web.Response:
        """Keep the conversation so far; the newest one counts."""
        text = await self._text(request, _MAX_CHECKPOINT)
        if not self._supervisor.keep(text):
            raise web.HTTPConflict(text="this pod has no job, and so no conversation")
        return web.Response(status=204)

    async def _text(self, request: web.Request, most: int) -> str:
        bearer.require(request, self._key)
        body = await request.read()
        if len(body) > most:
            raise web.HTTPRequestEntityTooLarge(most, len(body))
        try:
            return body.decode()
        except UnicodeDecodeError as error:
            raise web.HTTPBadRequest(text=f"the body is not UTF-8: {error}") from error
