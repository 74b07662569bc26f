"""Who may be the agent of a pod, and what is no agent at all."""

import asyncio

import pytest
from livekit.protocol import agent

from tests.support.waiting import until
from tests.unit.sidecar.fakes import Rig

pytestmark = pytest.mark.unit


async def test_the_newest_of_two_idle_agents_gets_the_job(pod: Rig) -> None:
    older = await pod.warm()
    newer = await pod.connect()
    await newer.register()
    assert (await older.socket.receive()).type.name in ("CLOSE", "CLOSING", "CLOSED")
    assigning = asyncio.create_task(pod.assign())
    await newer.accept()
    await assigning


async def test_a_second_agent_does_not_disturb_a_call(pod: Rig) -> None:
    worker = await pod.running()
    with pytest.raises(Exception, match="503"):
        await pod.connect()
    await worker.report(agent.JobStatus.JS_RUNNING)
    await until(lambda: not pod.supervisor.pod.silent)


async def test_an_agent_that_was_connected_before_the_job_cannot_take_it_over(pod: Rig) -> None:
    late = await pod.connect()
    await pod.running()
    await late.send(register=agent.RegisterWorkerRequest(agent_name="late"))
    await late.receive("register")
    assert (await late.socket.receive()).type.name in ("CLOSE", "CLOSING", "CLOSED")
    assert (await pod.status()).agent.name == "demo"


@pytest.mark.parametrize("garbage", [b"\xff\xff", "text", None])
async def test_a_connection_that_speaks_something_else_is_closed(
    pod: Rig, garbage: bytes | str | None
) -> None:
    worker = await pod.connect()
    match garbage:
        case bytes():
            await worker.socket.send_bytes(garbage)
        case str():
            await worker.socket.send_str(garbage)
        case None:
            await worker.send(ping=agent.WorkerPing(timestamp=1))
    assert (await worker.socket.receive()).type.name in ("CLOSE", "CLOSING", "CLOSED")
    assert (await pod.status()).state == "starting"
