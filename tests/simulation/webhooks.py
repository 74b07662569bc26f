"""LiveKit's webhooks: what becomes of each on its way to a gateway."""

import asyncio
import json
from collections import deque
from itertools import count
from typing import Any, Final

from tests.simulation.gateways import Gateway
from tests.simulation.livekit import OpenRoom, Participant
from tests.simulation.scene import Scene, unix

# In seconds, between the attempts for one event, as LiveKit makes them; it is given up then.
_PAUSES: Final = (0.5, 1.5, 4.5, 8.5)

# In seconds, how late an event may be.
_LATE: Final = (0.5, 60.0)


class Webhooks:
    """Sends the events of each room one after the other, to whichever gateway takes them."""

    def __init__(self, scene: Scene, gateways: list[Gateway], can_be_lost: bool) -> None:
        """``can_be_lost``: or else each one comes through in the end, at most very late."""
        self._scene, self._gateways, self._can_be_lost = scene, gateways, can_be_lost
        self._chance = scene.chance("webhooks")
        self._ids = count(1)
        self._waiting: dict[str, deque[dict[str, Any]]] = {}
        scene.livekit.tellers.append(self._tell)

    def _tell(self, event: str, room: OpenRoom, one: Participant | None) -> None:
        if one and one.agent:
            # The gateway passes over them: its own tests see to that.
            return
        body: dict[str, Any] = {
            "event": event,
            "room": {"sid": room.sid, "name": room.name},
            "id": f"EV_{next(self._ids)}",
            "createdAt": str(int(unix())),
        }
        if one:
            body["participant"] = {"sid": one.sid, "identity": one.identity, "kind": "STANDARD"}
        weather = self._scene.weather
        if self._can_be_lost and self._chance.happens(weather.webhook_lost):
            self._scene.trace.say("webhooks", event, room.sid, "gets lost")
            return
        if self._chance.happens(weather.webhook_doubled):
            self._send_apart(body)
        if self._chance.happens(weather.webhook_late):
            self._send_apart(body)
        else:
            self._send_in_order(body)

    def _send_apart(self, body: dict[str, Any]) -> None:
        self._scene.start(self._later(body, self._chance.between(*_LATE)))

    async def _later(self, body: dict[str, Any], delay: float) -> None:
        await asyncio.sleep(delay)
        await self._send(body)

    def _send_in_order(self, body: dict[str, Any]) -> None:
        waiting = self._waiting.setdefault(body["room"]["sid"], deque())
        waiting.append(body)
        if len(waiting) == 1:
            self._scene.start(self._send_all(waiting))

    async def _send_all(self, waiting: deque[dict[str, Any]]) -> None:
        while waiting:
            await self._send(waiting[0])
            waiting.popleft()

    async def _send(self, body: dict[str, Any]) -> None:
        raw = json.dumps(body).encode()
        for attempt in count():
            await asyncio.sleep(self._chance.between(0.001, 0.03))
            gateway = self._chance.one_of(self._gateways)
            status = await gateway.post(raw)
            what = body["event"], body["room"]["sid"], body["id"]
            self._scene.trace.say("webhooks", *what, "→", status)
            if status is not None and status < 500:
                return
            if self._can_be_lost and attempt == len(_PAUSES):
                self._scene.trace.say("webhooks", *what, "is given up")
                return
            await asyncio.sleep(_PAUSES[min(attempt, len(_PAUSES) - 1)])
