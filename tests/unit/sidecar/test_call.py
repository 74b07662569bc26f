"""One call through the sidecar, from the registration to the end, and who may give it to whom."""

import asyncio

import pytest
from livekit.protocol import agent, models

from tests.support.waiting import until
from tests.unit.sidecar.fakes import IDENTITY, ROOM, Rig, end_of, tokens
from voicepod.assignment.errors import PodRefused
from voicepod.assignment.messages import Permissions
from voicepod.sidecar import offer, supervisor

pytestmark = pytest.mark.unit


async def test_a_call_from_the_registration_to_the_end(pod: Rig) -> None:
    worker = await pod.connect()
    registered = await worker.register()
    assert registered.worker_id.startswith("AW_")
    assert registered.server_info.protocol == 17

    assigning = asyncio.create_task(pod.assign(checkpoint="so far"))
    job = await worker.accept()
    assert (job.id, job.room.sid, job.room.name) == ("AJ_1", "RM_1", ROOM)
    assert (job.agent_name, job.metadata) == ("demo", "for the job")
    assert job.attributes == {"voicepod.checkpoint": "so far"}
    accepted = await assigning
    assert (accepted.identity, accepted.name, accepted.metadata) == (IDENTITY, "Ann", "hello")
    assert accepted.attributes == {"mood": "good", "lk.agent_name": "demo"}

    await pod.dispatch()
    told = await worker.receive("assignment")
    assert told.url == pod.livekit.url
    assert told.job.id == "AJ_1"
    await worker.report(agent.JobStatus.JS_RUNNING)
    pod.livekit.join(models.TrackType.AUDIO)
    await until(lambda: pod.supervisor.pod.status().at.first_audio)

    await pod.end()
    assert (await worker.receive("termination")).job_id == "AJ_1"
    assert (await pod.status()).state == "ending"
    await worker.report(agent.JobStatus.JS_SUCCESS)
    await until(lambda: pod.supervisor.over.is_set())

    told = await pod.status()
    assert end_of(told) == ("ended", "Terminated", "CallerLeft")
    assert told.session
    assert told.session.name == "demo"
    assert told.generation == 1
    assert told.job
    assert (told.job.identity, told.job.status) == (IDENTITY, "JS_SUCCESS")
    at = told.at
    times = [at.registered, at.assigned, at.accepted, at.dispatched, at.joined, at.first_audio]
    happened = [time for time in (*times, at.ended) if time is not None]
    assert len(happened) == 7
    assert happened == sorted(happened)


async def test_the_token_decides_who_joins(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    offered = await worker.receive("availability")
    await worker.send(
        availability=agent.AvailabilityResponse(
            job_id=offered.job.id, available=True, participant_identity="somebody"
        )
    )
    assert (await assigning).identity == "somebody"
    await pod.dispatch()
    told = await pod.status()
    assert told.job
    assert told.job.identity == IDENTITY


async def test_an_agent_that_asks_for_nothing_starts_with_the_tokens_that_came_along(
    pod: Rig,
) -> None:
    worker = await pod.warm(agent_name="")
    both = asyncio.gather(pod.assign(tokens=tokens()), pod.assign(tokens=tokens()))
    await worker.accept_plainly()
    first, second = await both
    assert first.status.state == second.status.state == "running"
    assert (await worker.receive("assignment")).token == tokens().join_token
    await pod.end()
    await worker.receive("termination")  # and no second assignment before it


async def test_an_agent_that_asks_for_something_waits_for_its_own_tokens(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign(tokens=tokens()))
    await worker.accept()
    assert (await assigning).status is None
    assert (await pod.status()).state == "accepted"


async def test_the_agent_gets_the_permissions_that_it_registered_with(pod: Rig) -> None:
    allowed = models.ParticipantPermission(can_subscribe=True, hidden=True)
    worker = await pod.warm(allowed_permissions=allowed)
    assigning = asyncio.create_task(pod.assign())
    await worker.accept()
    assert (await assigning).permissions == Permissions(False, True, False, False, True)


async def test_an_agent_that_asks_for_no_permissions_gets_those_of_livekit(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.accept()
    assert (await assigning).permissions == Permissions()


async def test_the_job_is_of_the_type_that_the_agent_registered_for(pod: Rig) -> None:
    worker = await pod.warm(type=agent.JobType.JT_PUBLISHER)
    assigning = asyncio.create_task(pod.assign())
    assert (await worker.accept()).type == agent.JobType.JT_PUBLISHER
    await assigning


async def test_a_ping_has_its_pong(pod: Rig) -> None:
    worker = await pod.warm()
    await worker.send(ping=agent.WorkerPing(timestamp=42))
    assert (await worker.receive("pong")).last_timestamp == 42


async def test_nothing_is_assigned_before_an_agent_is_there(pod: Rig) -> None:
    with pytest.raises(PodRefused, match="AgentNotReady"):
        await pod.assign()
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.accept()
    await assigning


async def test_a_repeated_assignment_has_the_same_answer_and_one_offer(pod: Rig) -> None:
    worker = await pod.warm()
    both = asyncio.gather(pod.assign(), pod.assign())
    await worker.accept()
    first, second = await both
    assert first == second == await pod.assign()
    await pod.dispatch()
    await worker.receive("assignment")


@pytest.mark.parametrize("generation", [1, 3])
async def test_a_second_assignment_is_refused(pod: Rig, generation: int) -> None:
    await pod.accepted(generation=2)
    with pytest.raises(PodRefused, match="AlreadyAssigned: this pod belongs to session demo"):
        await pod.assign(generation=generation)


async def test_tokens_are_taken_once(pod: Rig) -> None:
    worker = await pod.running()
    await pod.dispatch()
    await pod.end()
    await worker.receive("termination")  # and no second assignment before it


async def test_tokens_before_the_assignment_are_refused(pod: Rig) -> None:
    await pod.warm()
    with pytest.raises(PodRefused, match="NotAssigned"):
        await pod.dispatch()


@pytest.mark.parametrize(("session", "generation"), [("session-uid", 2), ("another", 1)])
async def test_tokens_of_another_assignment_are_refused(
    pod: Rig, session: str, generation: int
) -> None:
    await pod.accepted()
    with pytest.raises(PodRefused, match="NotAssigned"):
        await pod.dispatch(session, generation)


async def test_an_agent_that_is_busy_at_first_is_asked_again(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offer, "_FIRST_PAUSE", 0.01)
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.decline()
    await worker.decline()
    await worker.accept()
    assert (await assigning).identity == IDENTITY


async def test_an_agent_that_stays_busy_has_refused(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offer, "_TIMEOUT", 0.1)
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.decline()
    with pytest.raises(PodRefused, match="AgentRefused"):
        await assigning
    with pytest.raises(PodRefused, match="AgentRefused"):
        await pod.assign()
    assert end_of(await pod.status())[:2] == ("ended", "AgentRefused")


async def test_an_agent_that_rejects_for_good_is_not_asked_again(pod: Rig) -> None:
    worker = await pod.warm()
    assigning = asyncio.create_task(pod.assign())
    await worker.decline(terminate=True)
    with pytest.raises(PodRefused, match="AgentRefused: the agent rejected the job for good"):
        await assigning


async def test_an_accepted_job_does_not_wait_for_its_token_forever(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_ACCEPTANCE_LIFE", 0.01)
    await pod.accepted()
    await until(lambda: pod.supervisor.over.is_set())
    with pytest.raises(PodRefused, match="AcceptanceExpired"):
        await pod.dispatch()
    assert end_of(await pod.status())[:2] == ("ended", "AcceptanceExpired")
