"""Rooms are called whatever people call them."""

import asyncio

import pytest

from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


async def test_a_room_of_any_name_has_its_call(stage: Stage) -> None:
    rooms = [
        "7",
        f"{stage.namespace} Kitchen/Stove 2, left",
        f"{stage.namespace} Küche 🍳/会議",
        stage.namespace.ljust(256, "x"),
    ]
    await stage.apply_agent("named", rooms=[{"name": room} for room in rooms])

    async def is_called(room: str) -> None:
        async with stage.call(room) as caller:
            await caller.heard_speech()
            session = (await stage.session_of(room))["metadata"]["name"]
            assert (await stage.in_phase(session, "Active"))["roomSid"]
        status = await stage.in_phase(session, "Ended", "Failed")
        assert status["endReason"] == "CallerLeft"

    await asyncio.gather(*(is_called(room) for room in rooms))
    await stage.pods_gone()
