"""A call from its first to its last moment: who gets which pod, what is heard, why it ends."""

import asyncio
import contextlib
import os

import pytest

from local.caller import SPEECH, Caller
from tests.cluster.stage import LIFECYCLE, Stage
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms, client_session

pytestmark = pytest.mark.cluster

IN_A_ROW = int(os.environ.get("VOICEPOD_CALLS_IN_A_ROW", "3"))
AT_ONCE = int(os.environ.get("VOICEPOD_CALLS_AT_ONCE", "5"))

# Of what the default agent says when its call is ended and its caller is there.
GOODBYE = "I have to hang up now"

# Enough for it to be said, and written down, on a starved machine.
PATIENT = {**LIFECYCLE, "shutdownGrace": "20s"}

# In seconds. A caller who gets no answer says it again.
_REPEAT = 10.0
"""Enough to see that calls share nothing; releases are tried with 20 in a row."""


async def short_call(stage: Stage, room: str) -> str:
    """Call, hear the greeting, hang up; return the pod that the call had."""
    async with stage.call(room) as caller:
        await caller.heard_speech()
    session = await stage.session_of(room)
    status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
    assert status["endReason"] == "CallerLeft", status
    return str(status["pod"])


async def nothing_is_left(stage: Stage) -> None:
    """All calls are over: so must be their sessions and pods."""
    await stage.pods_gone()
    sessions = await stage.kube.list_all(VOICE_SESSIONS, stage.namespace)
    assert {session["status"]["phase"] for session in sessions} <= {"Ended"}


async def answer(caller: Caller, question: str) -> float:
    """Type a question until it is answered: an agent drops what comes before it knows who asks."""
    while True:
        asked = await caller.send_chat(question)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REPEAT):
                return await caller.heard_speech(after=asked)


async def test_a_caller_is_greeted_and_answered_and_the_ledger_tells_of_it(stage: Stage) -> None:
    prefix = await stage.apply_agent("whole")

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        session = await stage.session_of(f"{prefix}1")
        name = session["metadata"]["name"]
        during = await stage.in_phase(name, "Active")
        asked = await caller.say(SPEECH / "hours.wav")
        replied = await caller.heard_speech(after=asked)
        await caller.heard_silence(after=replied)

    after = await stage.in_phase(name, "Ended", "Failed")
    assert (after["phase"], after["endReason"]) == ("Ended", "CallerLeft")
    assert after["pod"] == during["pod"]
    assert after["node"]
    assert after["generation"] == 1
    assert after["podSeconds"]["talking"] > 0
    steps = ("received", "claimed", "assigned", "joined", "firstAudio", "ending", "ended")
    times = [after["times"][step] for step in steps]
    assert times == sorted(times)
    for reason in ("PodStarted", "CallerAway"):
        assert await stage.event(name, reason)
    await nothing_is_left(stage)


async def test_callers_one_after_another_have_each_their_own_pod(stage: Stage) -> None:
    prefix = await stage.apply_agent("row")
    pods = [await short_call(stage, f"{prefix}{number}") for number in range(IN_A_ROW)]
    assert len(set(pods)) == IN_A_ROW
    await nothing_is_left(stage)


async def test_callers_at_once_have_each_their_own_pod_and_greeting(stage: Stage) -> None:
    prefix = await stage.apply_agent("crowd")
    calls = (short_call(stage, f"{prefix}{number}") for number in range(AT_ONCE))
    pods = await asyncio.gather(*calls)
    assert len(set(pods)) == AT_ONCE
    await nothing_is_left(stage)


async def test_an_applied_session_opens_its_room_and_its_agent_awaits_the_caller(
    stage: Stage,
) -> None:
    await stage.apply_agent("applied")

    await stage.apply_session("applied", "applied")
    await stage.kubectl("wait", "--for=condition=Active", "vs/applied", "--timeout=120s")
    async with stage.call(f"{stage.namespace}/applied") as caller:
        await caller.heard_speech()

    status = await stage.in_phase("applied", "Ended", "Failed")
    assert status["endReason"] == "CallerLeft"
    assert len(await stage.sessions(f"{stage.namespace}/applied")) == 1


async def test_spec_end_ends_the_call_with_a_goodbye(stage: Stage) -> None:
    prefix = await stage.apply_agent("end")

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        silent = await caller.heard_silence(after=greeted)
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        await stage.end(name)
        await caller.heard_speech(after=silent)
        status = await stage.in_phase(name, "Ended", "Failed")

    assert status["endReason"] == "Requested"
    await stage.pods_gone()


async def test_deleting_the_session_ends_the_call(stage: Stage) -> None:
    prefix = await stage.apply_agent("delete")

    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        await stage.delete(VOICE_SESSIONS, name)
        await stage.gone(VOICE_SESSIONS, name)
        await stage.pods_gone()


async def test_deleting_the_voiceagent_lets_a_live_call_finish(stage: Stage) -> None:
    prefix = await stage.apply_agent("orphan")

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        await stage.in_phase(name, "Active")
        await stage.delete(VOICE_AGENTS, "orphan")
        await stage.gone(VOICE_AGENTS, "orphan")
        asked = await caller.send_chat("When do you open?")
        await caller.heard_speech(after=asked)
        assert (await stage.status(name))["phase"] == "Active"

    status = await stage.in_phase(name, "Ended", "Failed")
    assert status["endReason"] == "CallerLeft"
    await stage.pods_gone()


async def test_a_caller_back_within_reconnect_grace_has_the_same_pod(stage: Stage) -> None:
    prefix = await stage.apply_agent("back", lifecycle={**LIFECYCLE, "reconnectGrace": "2m"})

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        before = await stage.in_phase(name, "Active")
    await stage.in_phase(name, "Reconnecting")
    async with stage.call(f"{prefix}1") as caller:
        back = await stage.in_phase(name, "Active")
        await caller.agent_track()
        await answer(caller, "When do you open?")
        await stage.end(name)

    assert (back["pod"], back["generation"]) == (before["pod"], 1)
    assert len(await stage.sessions(f"{prefix}1")) == 1
    await stage.in_phase(name, "Ended")
    await stage.pods_gone()


async def test_a_closed_room_ends_the_call(stage: Stage) -> None:
    prefix = await stage.apply_agent("close")
    cluster = stage.cluster
    credentials = Credentials(
        cluster.livekit_url, cluster.livekit_api_key, cluster.livekit_api_secret
    )

    async with stage.call(f"{prefix}1") as caller, client_session() as http:
        await caller.heard_speech()
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        await stage.in_phase(name, "Active")
        await Rooms(http, credentials).close(f"{prefix}1")
        status = await stage.in_phase(name, "Ended", "Failed")

    assert status["endReason"] == "RoomClosed"
    await stage.pods_gone()


async def test_the_longest_call_ends_with_a_goodbye_within_it(stage: Stage) -> None:
    prefix = await stage.apply_agent("long", lifecycle={**PATIENT, "maxDuration": "30s"})

    async with stage.call(f"{prefix}1") as caller:
        await caller.read(GOODBYE)
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        status = await stage.in_phase(name, "Ended", "Failed")

    assert status["endReason"] == "MaxDuration"
    await stage.pods_gone()


async def test_a_call_ends_with_a_goodbye_when_nobody_speaks(stage: Stage) -> None:
    prefix = await stage.apply_agent("idle", lifecycle={**PATIENT, "idleTimeout": "3s"})

    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
        await caller.read(GOODBYE)
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        status = await stage.in_phase(name, "Ended", "Failed")

    assert status["endReason"] == "IdleTimeout"
    await stage.pods_gone()
