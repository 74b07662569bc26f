"""When the agent has joined, when it is heard, and what the operator hears of it."""

import time

import pytest
from livekit.protocol import models

from tests.support.waiting import until
from tests.unit.sidecar.fakes import Rig
from voicepod.sidecar import room_watch, supervisor

pytestmark = pytest.mark.unit

AUDIO = models.TrackType.AUDIO
CALLER = models.ParticipantInfo(sid="PA_0", identity="caller")


async def hints_by_then(pod: Rig) -> int:
    """Have the agent get its job; return how many hints the operator has had until then."""
    await pod.running()
    await until(lambda: pod.operator.hints)
    return len(pod.operator.hints)


async def test_join_and_audio_are_one_hint_when_they_come_together(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_AUDIO_GRACE", 3600.0)
    pod.livekit.callers = [CALLER]
    hints = await hints_by_then(pod)
    pod.livekit.join()
    await until(lambda: pod.supervisor.pod.has_joined)
    pod.livekit.join(AUDIO)
    await until(lambda: pod.supervisor.pod.status().at.first_audio)
    await until(lambda: len(pod.operator.hints) == hints + 1)


async def test_an_agent_without_audio_that_comes_before_its_caller_is_told_of_soon(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_AUDIO_GRACE", 3600.0)
    hints = await hints_by_then(pod)
    pod.livekit.join()
    await until(lambda: len(pod.operator.hints) == hints + 1)


async def test_an_agent_that_sends_audio_before_its_caller_comes_is_told_of_once(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_AUDIO_GRACE_ALONE", 3600.0)
    hints = await hints_by_then(pod)
    pod.livekit.join()
    await until(lambda: pod.supervisor.pod.has_joined)
    assert len(pod.operator.hints) == hints
    pod.livekit.join(AUDIO)
    await until(lambda: len(pod.operator.hints) == hints + 1)


async def test_a_join_without_audio_is_a_hint_of_its_own(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_AUDIO_GRACE", 0.01)
    pod.livekit.callers = [CALLER]
    hints = await hints_by_then(pod)
    pod.livekit.join(models.TrackType.VIDEO)
    await until(lambda: len(pod.operator.hints) == hints + 1)
    assert pod.supervisor.pod.status().at.first_audio is None
    pod.livekit.join(AUDIO)
    await until(lambda: len(pod.operator.hints) == hints + 2)
    assert pod.supervisor.pod.status().at.first_audio


async def test_nobody_asks_any_more_when_the_agent_is_heard(pod: Rig) -> None:
    await pod.running()
    pod.livekit.join(AUDIO)
    await until(lambda: pod.supervisor._watch and pod.supervisor._watch.done())


async def test_the_join_is_dated_by_livekit_within_reason(pod: Rig) -> None:
    await pod.running()
    at = pod.supervisor.pod.status().at
    assert at.dispatched
    pod.livekit.join(AUDIO, joined_at=at.dispatched - 3600)
    await until(lambda: pod.supervisor.pod.has_joined)
    assert pod.supervisor.pod.status().at.joined == at.dispatched


async def test_a_clock_of_livekit_that_is_ahead_does_not_count_either(pod: Rig) -> None:
    await pod.running()
    pod.livekit.join(AUDIO, joined_at=time.time() + 3600)
    await until(lambda: pod.supervisor.pod.has_joined)
    joined = pod.supervisor.pod.status().at.joined
    assert joined
    assert joined <= time.time()


async def test_the_agent_that_is_replaced_is_not_taken_for_the_new_one(pod: Rig) -> None:
    pod.livekit.join(AUDIO, sid="PA_dead")
    await pod.running(generation=2)
    await until(lambda: pod.livekit.looks >= 3)
    assert not pod.supervisor.pod.has_joined
    pod.livekit.join(AUDIO, sid="PA_new")
    await until(lambda: pod.supervisor.pod.has_joined)


async def test_a_replacement_that_is_there_at_the_first_look_is_seen(pod: Rig) -> None:
    pod.livekit.join(AUDIO, sid="PA_dead")
    worker = await pod.accepted(generation=2)
    await pod.dispatch(generation=2)
    # It cannot join before it has its token, and may have joined before anybody looks again.
    pod.livekit.join(AUDIO, sid="PA_new")
    await worker.receive("assignment")
    await until(lambda: pod.supervisor.pod.has_joined)


async def test_a_livekit_that_does_not_answer_keeps_no_replacement_waiting(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_watch, "_GLANCE", 0.01)
    pod.livekit.slow = 0.2
    worker = await pod.accepted(generation=2)
    await pod.dispatch(generation=2)
    await worker.receive("assignment")
    pod.livekit.slow = 0.0
    pod.livekit.join(AUDIO)
    await until(lambda: pod.supervisor.pod.has_joined)


async def test_a_livekit_that_fails_for_a_while_is_asked_again(pod: Rig) -> None:
    pod.livekit.broken = True
    await pod.running()
    pod.livekit.join(AUDIO)
    pod.livekit.broken = False
    await until(lambda: pod.supervisor.pod.status().at.first_audio)


async def test_a_livekit_that_fails_is_no_departure(pod: Rig) -> None:
    worker = await pod.running()
    pod.livekit.join(AUDIO)
    await until(lambda: pod.supervisor.pod.has_joined)
    pod.livekit.broken = True
    await pod.end()
    await worker.receive("termination")
    await until(lambda: pod.livekit.failures)
    assert pod.supervisor.pod.state == "ending"
    pod.livekit.participants = []
    pod.livekit.broken = False
    await until(lambda: pod.supervisor.over.is_set())
