"""What the operator and the kubelet ask of the pod, over HTTP on all its addresses.

The operator's requests are signed; the kubelet's probes change nothing, and its preStop hook shows
the key that the operator has put into the pod's manifest.
"""

import logging
from typing import Any, Final

from aiohttp import web

from voicepod.assignment.errors import MessageError, TokenError
from voicepod.assignment.messages import (
    Act,
    Assignment,
    Checkpoint,
    Ending,
    Refusal,
    RefusalReason,
    Tokens,
)
from voicepod.assignment.signing import Verifier
from voicepod.sidecar import bearer
from voicepod.sidecar.state import Refused
from voicepod.sidecar.supervisor import Supervisor

logger = logging.getLogger(__name__)

# Bytes of a request. Its largest parts are metadata (LiveKit takes 64 kB) and a checkpoint (half a
# mebibyte); JSON may escape each of their characters, and the signature's base64 adds a third.
_MAX_BODY: Final = 2 * 1024 * 1024

# The HTTP status of a refusal; all others are a conflict with what the pod is.
_STATUS: Final = {
    RefusalReason.BAD_TOKEN: 401,
    RefusalReason.MALFORMED: 400,
    RefusalReason.TOO_LARGE: 413,
    RefusalReason.AGENT_NOT_READY: 503,
}
_CONFLICT: Final = 409


def create_app(supervisor: Supervisor, verifier: Verifier, stop_key: str) -> web.Application:
    """Return the application."""
    api = _OperatorApi(supervisor, verifier, stop_key)
    app = web.Application(client_max_size=_MAX_BODY)
    app.add_routes(
        [
            web.get("/live", api.live),
            web.get("/ready", api.ready),
            web.get("/stopping", api.stopping),
            web.post(f"/v1/{{act:{'|'.join(Act)}}}", api.act),
        ]
    )
    return app


class _OperatorApi:
    def __init__(self, supervisor: Supervisor, verifier: Verifier, stop_key: str) -> None:
        self._supervisor = supervisor
        self._verifier = verifier
        self._stop_key = stop_key

    async def live(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def ready(self, _: web.Request) -> web.Response:
        if not self._supervisor.pod.agent.connected:
            raise web.HTTPServiceUnavailable(text="no agent is registered")
        return web.Response(text="ok")

    async def stopping(self, request: web.Request) -> web.Response:
        """Answer when the job has ended: the kubelet stops the agent's container then."""
        bearer.require(request, self._stop_key)
        await self._supervisor.stop("the pod is being deleted")
        return web.Response(text="ok")

    async def act(self, request: web.Request) -> web.Response:
        act = Act(request.match_info["act"])
        try:
            answer = await self._do(act, await _body(self._verifier, act, request))
        except Refused as error:
            logger.warning("refused %s: %s: %s", act, error.reason, error.message)
            refusal = Refusal(error.reason, error.message)
            status = _STATUS.get(error.reason, _CONFLICT)
            return web.json_response(refusal.to_dict(), status=status)
        return web.json_response(answer, status=202 if act is Act.END else 200)

    async def _do(self, act: Act, body: object) -> dict[str, Any]:
        try:
            match act:
                case Act.ASSIGN:
                    return (await self._supervisor.assign(Assignment.from_dict(body))).to_dict()
                case Act.TOKEN:
                    await self._supervisor.dispatch(Tokens.from_dict(body))
                case Act.END:
                    await self._supervisor.end_session(Ending.from_dict(body).reason)
                case Act.STATUS:
                    pass
                case Act.CHECKPOINT:
                    return Checkpoint(self._supervisor.checkpoint()).to_dict()
        except MessageError as error:
            raise Refused(RefusalReason.MALFORMED, str(error)) from error
        return self._supervisor.pod.status().to_dict()


async def _body(verifier: Verifier, act: Act, request: web.Request) -> object:
    try:
        return verifier.verify(await request.read(), act)
    except TokenError as error:
        raise Refused(RefusalReason.BAD_TOKEN, str(error)) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise Refused(RefusalReason.TOO_LARGE, f"more than {_MAX_BODY} bytes") from error
