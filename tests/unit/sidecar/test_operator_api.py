"""Who may tell the pod what, and what probes and hooks hear."""

import asyncio
import io
from typing import Any

import pytest
from livekit.protocol import agent

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, POD_UID, Rig, end_of
from voicepod.assignment.messages import Act
from voicepod.assignment.signing import Signer, generate_key
from voicepod.sidecar import supervisor

pytestmark = pytest.mark.unit


async def post(pod: Rig, act: str, body: str | io.BytesIO) -> tuple[int, dict[str, Any]]:
    url = f"http://{HOST}:{pod.operator_port}/v1/{act}"
    async with pod.http.post(url, data=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("act", list(Act))
async def test_no_act_is_done_for_a_stranger(pod: Rig, act: Act) -> None:
    forged = Signer(generate_key()).mint(act, POD_UID, {"reason": "CallerLeft"})
    status, answer = await post(pod, act, forged)
    assert (status, answer["reason"]) == (401, "BadToken")
    assert pod.supervisor.pod.state == "starting"


async def test_a_request_for_another_pod_is_refused(pod: Rig) -> None:
    status, answer = await post(pod, "end", pod.signer.mint(Act.END, "another", {"reason": "x"}))
    assert (status, answer["reason"]) == (401, "BadToken")


async def test_a_request_for_another_act_is_refused(pod: Rig) -> None:
    status, answer = await post(pod, "end", pod.signer.mint(Act.STATUS, POD_UID, {"reason": "x"}))
    assert status == 401
    assert answer["message"] == "signed for the act 'status', posted as 'end'"


async def test_a_signed_body_of_the_wrong_shape_is_named(pod: Rig) -> None:
    status, answer = await post(pod, "end", pod.signer.mint(Act.END, POD_UID, {}))
    assert status == 400
    assert answer == {"reason": "Malformed", "message": "Ending.reason is missing"}


async def test_a_join_token_without_an_identity_is_named(pod: Rig) -> None:
    await pod.accepted()
    body = {"session_uid": "session-uid", "generation": 1, "join_token": "?", "room_token": "?"}
    status, answer = await post(pod, "token", pod.signer.mint(Act.TOKEN, POD_UID, body))
    assert status == 400
    assert answer == {"reason": "Malformed", "message": "the join token names nobody"}


async def test_a_body_of_more_than_two_mebibytes_is_too_large(pod: Rig) -> None:
    status, answer = await post(pod, "assign", io.BytesIO(b"x" * (2 * 1024 * 1024 + 1)))
    assert (status, answer["reason"]) == (413, "TooLarge")


async def test_an_act_that_nobody_knows_is_not_found(pod: Rig) -> None:
    async with pod.http.post(f"http://{HOST}:{pod.operator_port}/v1/sing", data=b"") as response:
        assert response.status == 404


async def test_the_pod_is_ready_while_an_agent_is_registered(pod: Rig) -> None:
    assert await pod.get("/live") == 200
    assert await pod.get("/ready") == 503
    worker = await pod.running()
    assert await pod.get("/ready") == 200
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    assert await pod.get("/ready") == 503
    assert await pod.get("/live") == 200


@pytest.mark.parametrize("key", ["", "Bearer wrong", "stop-key", "Bearer stöp"])
async def test_nobody_ends_a_call_without_the_stop_key(pod: Rig, key: str) -> None:
    await pod.running()
    assert await pod.get("/stopping", Authorization=key) == 401
    assert pod.supervisor.pod.state == "running"


async def test_stopping_in_mid_call_waits_for_another_pod(pod: Rig) -> None:
    worker = await pod.running()
    await until(lambda: pod.operator.hints)
    before = len(pod.operator.hints)
    stopping = asyncio.create_task(pod.get("/stopping", Authorization="Bearer stop-key"))
    await until(lambda: len(pod.operator.hints) > before)
    told = await pod.status()
    assert (told.state, told.stopping) == ("running", True)
    await worker.report(agent.JobStatus.JS_SUCCESS)  # as it does when another one evicts it
    assert await stopping == 200
    assert end_of(await pod.status())[:2] == ("ended", "JobFinished")


async def test_stopping_ends_the_job_that_no_other_pod_has_taken(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_HANDOVER", 0.01)
    worker = await pod.running()
    stopping = asyncio.create_task(pod.get("/stopping", Authorization="Bearer stop-key"))
    await worker.receive("termination")
    assert not stopping.done()
    await worker.report(agent.JobStatus.JS_SUCCESS)
    assert await stopping == 200


async def test_stopping_does_not_wait_for_another_pod_when_the_call_is_over(pod: Rig) -> None:
    worker = await pod.running()
    await pod.end()
    stopping = asyncio.create_task(pod.get("/stopping", Authorization="Bearer stop-key"))
    await worker.receive("termination")
    await worker.report(agent.JobStatus.JS_SUCCESS)
    assert await stopping == 200
    assert not (await pod.status()).stopping


async def test_a_call_that_ends_while_it_waits_for_another_pod_ends(pod: Rig) -> None:
    worker = await pod.running()
    stopping = asyncio.create_task(pod.get("/stopping", Authorization="Bearer stop-key"))
    await until(lambda: pod.supervisor.pod.stopping)
    await pod.end()
    await worker.receive("termination")
    assert not stopping.done()
    await worker.report(agent.JobStatus.JS_SUCCESS)
    assert await stopping == 200
    assert pod.supervisor.over.is_set()


async def test_stopping_is_answered_when_the_grace_is_over(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_HANDOVER", 0.01)
    await pod.running(shutdown_grace=0.01)
    pod.livekit.broken = True  # so that nobody sees the agent leave
    assert await pod.get("/stopping", Authorization="Bearer stop-key") == 200
    assert pod.supervisor.pod.state == "ending"


async def test_stopping_an_idle_pod_takes_no_time(pod: Rig) -> None:
    await pod.warm()
    assert await pod.get("/stopping", Authorization="Bearer stop-key") == 200
    assert pod.supervisor.pod.state == "ended"
