"""Callers: sessions that come at given moments, whether or not the ones before were served.

Each is made as the gateway makes one for a webhook: its room is open, and it names its sid.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from local.scale.rooms import OpenRooms, opening
from local.scale.site import AGENT, NAMESPACE
from voicepod.api.names import API_VERSION, LABEL_AGENT
from voicepod.kube.client import VOICE_SESSIONS, Kube
from voicepod.kube.errors import KubeError

# For how many seconds a caller's room is open before the session comes.
_AHEAD = 1.0


@dataclass(slots=True)
class Caller:
    """One session, and when it was asked for."""

    name: str
    due: float
    """When it was to come, by the monotonic clock."""
    created: float = 0.0
    """When the request to create it was sent, by the same."""
    created_unix: float = 0.0
    answered: float = 0.0
    uid: str = ""
    error: str = ""


async def call(
    kube: Kube, prefix: str, moments: Sequence[float], talk: float | Sequence[float]
) -> list[Caller]:
    """Create a session at each moment, for calls of `talk` seconds; return when all are made.

    Calls of different lengths have one each.
    """
    start = time.monotonic() + _AHEAD
    callers = [Caller(f"{prefix}-{n:04}", start + moment) for n, moment in enumerate(moments)]
    talks = talk if isinstance(talk, Sequence) else [talk] * len(callers)
    async with opening() as rooms, asyncio.TaskGroup() as group:
        for caller, seconds in zip(callers, talks, strict=True):
            group.create_task(_call(kube, rooms, caller, seconds))
    return callers


async def _call(kube: Kube, rooms: OpenRooms, caller: Caller, talk: float) -> None:
    await asyncio.sleep(caller.due - _AHEAD - time.monotonic())
    sid = await rooms.open(caller.name)
    await asyncio.sleep(caller.due - time.monotonic())
    await _create(kube, caller, sid, talk)


async def _create(kube: Kube, caller: Caller, sid: str, talk: float) -> None:
    session = {
        "apiVersion": API_VERSION,
        "kind": "VoiceSession",
        "metadata": {
            "name": caller.name,
            "namespace": NAMESPACE,
            "labels": {LABEL_AGENT: AGENT},
        },
        "spec": {
            "agentRef": {"name": AGENT},
            "room": caller.name,
            "roomSid": sid,
            "metadata": json.dumps({"seconds": talk}),
        },
    }
    caller.created_unix, caller.created = time.time(), time.monotonic()
    try:
        made = await kube.create(VOICE_SESSIONS, NAMESPACE, session)
    except KubeError as error:
        caller.error = str(error)
    else:
        caller.uid = made["metadata"]["uid"]
    caller.answered = time.monotonic()
