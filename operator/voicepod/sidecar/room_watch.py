"""Whether the agent is in its room, asked of LiveKit: the agent itself says nothing about it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from voicepod.sidecar.protocol import models
from voicepod.sidecar.room import Room, RoomUnreachable

logger = logging.getLogger(__name__)

# Seconds between two questions: the shortest is the precision of the timestamps. It grows with the
# time that has passed already, so that an agent that joins late, or never, does not wear LiveKit
# down. Who waits for the join is told within a second of it; who joined without audio may well
# never send any, and there is no hurry.
_SHORTEST: Final = 0.1
_LONGEST_BEFORE_JOIN: Final = 1.0
_GROWTH: Final = 1 / 20

# Seconds that the job waits for a look at who has the agent's identity; LiveKit answers in
# milliseconds, and a caller is waiting.
_GLANCE: Final = 1.0

# Seconds between two questions whether the agent has left: the pod is kept as much too long.
_DEPARTURE: Final = 0.25


async def present(room: Room, identity: str) -> frozenset[str]:
    """Return the sids of who has an identity now; nobody's if LiveKit does not answer in time."""
    try:
        async with asyncio.timeout(_GLANCE):
            here = await _look(room)
            return frozenset(each.sid for each in here if each.identity == identity)
    except TimeoutError:
        return frozenset()


async def watch_arrival(
    room: Room, identity: str, before: frozenset[str], seen: Callable[[float, bool, bool], None]
) -> None:
    """Call ``seen`` until the agent's audio is there.

    With the Unix time of the join, whether audio is there, and whether the agent is alone. Those
    who were there ``before``, by their sids, are agents that it replaces.
    """
    loop = asyncio.get_running_loop()
    started, joined = loop.time(), False
    while True:
        here = await _look(room)
        alone = all(each.identity == identity for each in here)
        for participant in here:
            if participant.identity != identity or participant.sid in before:
                continue
            joined = True
            audio = any(track.type == models.TrackType.AUDIO for track in participant.tracks)
            seen(participant.joined_at_ms / 1000 or participant.joined_at, audio, alone)
            if audio:
                return
        pause = max(_SHORTEST, (loop.time() - started) * _GROWTH)
        await asyncio.sleep(pause if joined else min(pause, _LONGEST_BEFORE_JOIN))


async def watch_departure(room: Room, identity: str) -> None:
    """Return when the agent is not in the room any more."""
    while True:
        await asyncio.sleep(_DEPARTURE)
        try:
            if all(each.identity != identity for each in await room.participants()):
                return
        except RoomUnreachable as error:
            logger.warning("cannot see whether the agent has left: %s", error)


async def _look(room: Room) -> list[models.ParticipantInfo]:
    try:
        return await room.participants()
    except RoomUnreachable as error:
        logger.warning("cannot see whether the agent has joined: %s", error)
        return []
