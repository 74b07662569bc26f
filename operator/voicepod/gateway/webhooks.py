"""``POST /livekit/webhook``: signature, and what became of it in HTTP's words."""

import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from voicepod.gateway.directory import Directory
from voicepod.gateway.door import Door, NotTakenError
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.reception import Reception
from voicepod.kube.errors import KubeError, NotFound, Refused
from voicepod.livekit.errors import LiveKitError
from voicepod.livekit.webhooks import InvalidSignatureError, MalformedEventError, parse

# As many as requests to the API server, and with bodies of the largest size they still fit into
# the memory of a small pod.
_PLACES: Final = 64

# An event is one to a few kilobytes; a room's metadata may make it larger.
_MAX_BODY: Final = 1024 * 1024


def webhook_door(directory: Directory) -> Door:
    """Return the door that webhooks come in by."""
    return Door(directory, "webhooks", _PLACES, _MAX_BODY)


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Answers webhooks."""

    door: Door
    keyring: Keyring
    reception: Reception
    metrics: Metrics

    async def post(self, request: web.Request) -> web.Response:
        """Answer one webhook."""
        arrived = time.perf_counter()
        event = ""
        try:
            with self.door.opened():
                body = await self.door.read(request)
                signer = await self.keyring.verify(body, request.headers.get("Authorization", ""))
                parsed = parse(body)
                event = parsed.event
                outcome = await self.reception.take(parsed, signer)
            if outcome is Outcome.ENDING:
                raise NotTakenError(
                    outcome, "the room's session is saying goodbye; there can be a new one after it"
                )
            answer = web.json_response({"outcome": outcome.label})
        except (
            NotTakenError,
            InvalidSignatureError,
            MalformedEventError,
            KubeError,
            LiveKitError,
        ) as error:
            refused = _not_taken(error)
            outcome, answer = refused.outcome, self.door.refuse(refused)
        self.metrics.webhook(event, outcome, time.perf_counter() - arrived)
        return answer


def _not_taken(error: Exception) -> NotTakenError:
    match error:
        case NotTakenError():
            return error
        case InvalidSignatureError():
            outcome = Outcome.UNAUTHORIZED
        case MalformedEventError():
            outcome = Outcome.MALFORMED
        case Refused() | NotFound():
            outcome = Outcome.REFUSED
        case _:
            outcome = Outcome.UNAVAILABLE
    return NotTakenError(outcome, str(error))
