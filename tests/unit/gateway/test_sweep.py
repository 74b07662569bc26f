"""Rooms of which no webhook told, or told wrongly."""

import asyncio
from dataclasses import replace

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.unit.gateway.stage import OURS, THEIRS, Stage
from voicepod.kube.client import VOICE_AGENTS
from voicepod.kube.errors import Refused
from voicepod.livekit.errors import Unreachable
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

SID = "RM_1"
ROBERT = frozenset({"robert"})
AGENT = frozenset({"agent-AJ_1"})


async def swept(stage: Stage, callers: frozenset[str], others: frozenset[str] = AGENT) -> None:
    """Have the room ``lobby`` hold somebody, and sweep."""
    stage.livekit.rooms["lobby"] = Room("lobby", SID, callers, others)
    await sweep(stage)


async def sweep(stage: Stage) -> None:
    for agent in stage.directory.agents.values():
        await stage.keyring.read_credentials_of(agent)
    await stage.sweep.once()


async def test_a_room_whose_webhooks_all_got_lost_gets_its_session(stage: Stage) -> None:
    stage.add_agent()

    await swept(stage, ROBERT, others=frozenset())
    await swept(stage, ROBERT, others=frozenset())

    (session,) = stage.sessions()
    assert (session["spec"]["room"], session["spec"]["roomSid"]) == ("lobby", SID)


async def test_a_room_without_a_caller_or_that_nobody_wants_gets_none(stage: Stage) -> None:
    stage.add_agent("ada", {"name": "parlour"})
    await swept(stage, ROBERT)
    assert stage.sessions() == []

    stage.add_agent("bea", {"name": "lobby"})
    await swept(stage, frozenset())
    assert stage.sessions() == []


async def test_a_session_that_knows_what_its_room_holds_is_left_alone(stage: Stage) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.set_status("Active", caller_there=True)

    await swept(stage, ROBERT)

    assert stage.touched_for() == [""]


@pytest.mark.parametrize(
    ("callers", "others", "believed"),
    [
        (frozenset(), AGENT, True),
        (ROBERT, AGENT, False),
        (ROBERT, frozenset(), True),
        (ROBERT, frozenset(), False),
    ],
    ids=["caller left", "caller came", "agent is missing", "caller is alone"],
)
async def test_a_session_that_believes_otherwise_has_its_room_looked_at(
    stage: Stage, callers: frozenset[str], others: frozenset[str], believed: bool
) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.set_status("Active", caller_there=believed)

    await swept(stage, callers, others)

    assert stage.touched_for()[0].startswith("sweep-")


@pytest.mark.parametrize("gone", [False, True])
async def test_a_session_that_ends_and_has_somebody_in_its_room_may_be_gone_by_now(
    stage: Stage, gone: bool
) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.set_status("Ending", endReason="AgentLost")
    stale = stage.sessions()[0]
    if gone:
        stage.remove_session()
        stage.directory.see_session(stale)

    await swept(stage, ROBERT, others=frozenset())

    (session,) = stage.sessions()
    assert (session["metadata"]["name"] == "by-hand") != gone


async def test_a_session_whose_room_is_gone_is_told(stage: Stage) -> None:
    stage.add_agent()
    stage.add_session(sid="RM_0")
    stage.add_session("over", sid="RM_00")
    stage.set_status("Ended")

    await sweep(stage)

    assert [bool(event) for event in stage.touched_for()] == [True, False]


async def test_a_server_that_is_away_keeps_nobody_from_the_others(stage: Stage) -> None:
    away = replace(THEIRS, url="ws://away")
    stage.add_agent("ada", credentials=away)
    stage.add_agent("bea", credentials=OURS)
    stage.livekit.faults[away.url] = Unreachable("away")

    await swept(stage, ROBERT)

    assert len(stage.sessions()) == 1


async def test_a_room_that_is_refused_its_session_keeps_no_other_from_its_own(stage: Stage) -> None:
    stage.add_agent()
    refused = iter([True])

    async def full(call: Call) -> None:
        if call.verb == "create" and next(refused, False):
            raise Refused("exceeded quota: sessions=10")

    stage.kube.fault = full
    stage.livekit.rooms["hall"] = Room("hall", "RM_2", ROBERT)
    await swept(stage, ROBERT, others=frozenset())

    assert len(stage.sessions()) == 1


async def test_thousands_of_rooms_hold_up_no_webhook(stage: Stage) -> None:
    stage.add_agent()
    for number in range(2000):
        name = f"room-{number}"
        stage.livekit.rooms[name] = Room(name, f"RM_{number}", frozenset(), frozenset())
    turns = 0

    async def whoever_calls() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    calling = asyncio.create_task(whoever_calls())
    await sweep(stage)
    calling.cancel()

    assert turns >= 10


@in_hours
async def test_who_was_away_is_asked_again_soon_and_nobody_else() -> None:
    stage = Stage()
    away = replace(THEIRS, url="ws://away")
    for name, credentials in ("ada", away), ("bea", OURS):
        stage.add_agent(name, credentials=credentials)
    for agent in stage.directory.agents.values():
        await stage.keyring.read_credentials_of(agent)
    stage.livekit.faults[away.url] = Unreachable("away")
    sweeping = asyncio.create_task(stage.sweep.run())
    while "all" not in stage.livekit.asked:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.1)
    stage.livekit.asked.clear()

    await asyncio.sleep(18)
    sweeping.cancel()
    await stage.client.close()

    assert stage.livekit.asked == ["all"] * 3


# When the operator decided to end a call, by its own clock.
ENDED_AT = 1_767_225_600.0
ENDED = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("joined", "phase", "reason", "calls"),
    [
        (ENDED_AT - 60, "Ended", "Requested", 1),
        (ENDED_AT - 60, "Ended", "IdleTimeout", 1),
        (ENDED_AT - 60, "Ended", "MaxDuration", 1),
        (ENDED_AT - 60, "Failed", "AgentFull", 1),
        (ENDED_AT - 60, "Failed", "QueueDeadline", 1),
        (ENDED_AT + 1, "Ended", "Requested", 2),
        (ENDED_AT - 0.1, "Ended", "CallerLeft", 2),
        (ENDED_AT - 60, "Failed", "AgentLost", 2),
    ],
)
async def test_a_call_that_was_ended_on_purpose_gets_a_new_session_for_who_joins_later_only(
    stage: Stage, joined: float, phase: str, reason: str, calls: int
) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.set_status(phase, endReason=reason, times={"ending": ENDED})

    stage.livekit.rooms["lobby"] = Room("lobby", SID, ROBERT, last_joined=joined)
    await sweep(stage)

    assert len(stage.sessions()) == calls


@pytest.mark.parametrize(("late", "calls"), [(-60, 0), (1, 1)])
@pytest.mark.parametrize("event", ["sweep", "participant_joined", "room_started"])
async def test_a_session_that_was_deleted_is_made_anew_for_who_joins_later_only(
    stage: Stage, event: str, late: float, calls: int
) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.remove_session()
    stage.livekit.rooms["lobby"] = Room("lobby", SID, ROBERT, last_joined=stage.now + late)

    if event == "sweep":
        await sweep(stage)
    else:
        await stage.send(event)

    # A room starts once: that event is older than its session.
    assert len(stage.sessions()) == (0 if event == "room_started" else calls)


async def test_the_rooms_of_an_agent_that_was_deleted_are_looked_at_while_it_has_calls(
    stage: Stage,
) -> None:
    stage.add_agent()
    stage.add_session(sid=SID)
    stage.set_status("Active", caller_there=True)
    stage.livekit.rooms["lobby"] = Room("lobby", SID, ROBERT, AGENT)
    await sweep(stage)
    assert stage.touched_for() == [""]

    stage.kube.remove(VOICE_AGENTS, "voice", "ada")
    stage.livekit.rooms.clear()
    await stage.sweep.once()

    assert stage.touched_for() != [""]
