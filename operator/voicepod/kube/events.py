"""Kubernetes Events: the story of a session or an agent, as ``kubectl describe`` tells it.

They are posted beside everything else: no call waits for one, and a lost one is only a sentence.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from voicepod.api.base import rfc3339
from voicepod.api.conditions import shorten
from voicepod.api.names import API_VERSION
from voicepod.kube.client import EVENTS, Kube
from voicepod.kube.errors import KubeError

logger = logging.getLogger(__name__)

# An API server that is away for a minute under ten calls a second leaves this many; what comes on
# top is dropped, for Events must not fill the memory.
_QUEUED: Final = 1000


@dataclass(frozen=True, slots=True)
class Regarding:
    """The object that an Event is about."""

    kind: Literal["VoiceAgent", "VoiceSession"]
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Note:
    """What happened, in a constant and in a sentence."""

    reason: str
    message: str
    warning: bool = False


def build_event(about: Regarding, note: Note, component: str, now: datetime) -> dict[str, Any]:
    """Return the manifest of an Event of core/v1."""
    moment = rfc3339(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about.name}.{secrets.token_hex(8)}",
            "namespace": about.namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
        "type": "Warning" if note.warning else "Normal",
        "reason": note.reason,
        "message": shorten(note.message),
        "source": {"component": component},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


class Events:
    """A bounded queue of Events and the task that posts them."""

    def __init__(self, kube: Kube, component: str, clock: Callable[[], datetime]) -> None:
        self._kube = kube
        self._component = component
        self._clock = clock
        self.dropped = 0
        """How many Events were not posted because too many waited."""
        self._queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_QUEUED)

    def post(self, about: Regarding, note: Note) -> None:
        """Have an Event posted soon."""
        event = build_event(about, note, self._component, self._clock())
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self.dropped += 1
            logger.warning("too many Events are waiting, one is dropped: %s", note.message)

    async def run(self) -> None:
        """Post Events until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._kube.create(EVENTS, event["metadata"]["namespace"], event)
            except KubeError as error:
                logger.warning("an Event was not posted: %s", error)
