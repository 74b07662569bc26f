"""LiveKit's own SDK as the agent: what it asks for when its code asks for nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit.agents import AgentServer, JobContext, JobExecutorType

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, Rig, rig, tokens

pytestmark = pytest.mark.unit


@asynccontextmanager
async def the_sdk(pod: Rig) -> AsyncIterator[asyncio.Queue[str]]:
    """An agent of the SDK beside the pod's sidecar; yields the tokens that its jobs begin with."""
    began: asyncio.Queue[str] = asyncio.Queue()
    here = asyncio.get_running_loop()
    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=1,
        load_fnc=lambda: 0.0,
        ws_url=f"ws://{HOST}:{pod.agent_port}",
        api_key="key",
        api_secret="a secret that is long enough for HS256",
        host=HOST,
        port=0,
    )

    async def entrypoint(ctx: JobContext) -> None:
        here.call_soon_threadsafe(began.put_nowait, ctx._info.token)
        ctx.shutdown()

    server.rtc_session(entrypoint)
    running = asyncio.create_task(server.run())
    try:
        await until(lambda: pod.supervisor.pod.agent.connected)
        yield began
    finally:
        await server.aclose()
        await asyncio.wait([running])


async def test_a_plain_agent_begins_with_the_tokens_that_come_with_its_job() -> None:
    async with rig() as pod, the_sdk(pod) as began:
        accepted = await pod.assign(tokens=tokens())
        assert accepted.status is not None
        assert await began.get() == tokens().join_token
