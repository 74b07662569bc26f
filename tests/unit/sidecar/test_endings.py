"""How a pod's life ends: asked, by itself, or because the agent is gone."""

import asyncio

import pytest
from livekit.protocol import agent, models

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, POD_UID, Rig, end_of
from voicepod.assignment.errors import PodRefused
from voicepod.sidecar import supervisor

pytestmark = pytest.mark.unit


async def test_a_job_that_finishes_by_itself_has_ended(pod: Rig) -> None:
    worker = await pod.running()
    await worker.report(agent.JobStatus.JS_SUCCESS)
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status())[:2] == ("ended", "JobFinished")


async def test_a_job_that_fails_tells_why(pod: Rig) -> None:
    worker = await pod.running()
    await worker.report(agent.JobStatus.JS_FAILED, "out of tea")
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status()) == ("ended", "JobFailed", "out of tea")


async def test_an_idle_agent_may_come_back(pod: Rig) -> None:
    worker = await pod.warm()
    await worker.socket.close()
    await until(lambda: pod.supervisor.pod.state == "starting")
    await pod.accepted()


async def test_an_idle_agent_that_stays_away_is_lost(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_RETURN", 0.01)
    worker = await pod.warm()
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status())[:2] == ("lost", "AgentGone")


async def test_an_agent_that_goes_away_during_the_offer_is_lost(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.receive("availability")
    await worker.socket.close()
    with pytest.raises(PodRefused, match="AgentGone: the agent went away while its job was offere"):
        await assigning
    assert (await pod.status()).state == "lost"


async def test_an_agent_that_goes_away_before_its_token_is_lost(pod: Rig) -> None:
    worker = await pod.accepted()
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    with pytest.raises(PodRefused, match="AgentGone"):
        await pod.dispatch()


async def test_an_agent_that_goes_away_during_the_call_is_lost(pod: Rig) -> None:
    worker = await pod.running()
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    told = await pod.status()
    assert end_of(told)[:2] == ("lost", "AgentGone")
    assert not told.agent.connected


async def test_an_agent_that_goes_away_while_ending_has_ended(pod: Rig) -> None:
    worker = await pod.running()
    await pod.end()
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status()) == ("ended", "Terminated", "CallerLeft")


async def test_an_agent_that_reports_nothing_has_ended_when_it_has_left(pod: Rig) -> None:
    worker = await pod.running()
    pod.livekit.join(models.TrackType.AUDIO)
    await until(lambda: pod.supervisor.pod.has_joined)
    await pod.end()
    await worker.receive("termination")
    looks = pod.livekit.looks
    await until(lambda: pod.livekit.looks > looks)
    assert (await pod.status()).state == "ending"
    pod.livekit.participants = []
    await until(lambda: pod.supervisor.over.is_set())


async def test_a_termination_that_came_too_early_is_sent_again(pod: Rig) -> None:
    worker = await pod.running()
    await pod.end()
    await worker.receive("termination")
    await worker.report(agent.JobStatus.JS_RUNNING)
    await worker.receive("termination")


async def test_only_the_first_end_counts(pod: Rig) -> None:
    worker = await pod.running()
    await pod.end()
    await pod.client.end(HOST, POD_UID, "MaxDuration")
    await worker.receive("termination")
    await worker.report(agent.JobStatus.JS_SUCCESS)
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status()) == ("ended", "Terminated", "CallerLeft")


async def test_a_pod_that_has_ended_without_a_call_takes_none(pod: Rig) -> None:
    await pod.warm()
    await pod.end()
    with pytest.raises(PodRefused, match="Ended: CallerLeft"):
        await pod.assign()


async def test_an_end_during_the_offer_answers_the_assignment(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.receive("availability")
    await pod.end()
    with pytest.raises(PodRefused, match="Ended: CallerLeft"):
        await assigning
