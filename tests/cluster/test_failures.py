"""Agents that never get into their room: Failed after startDeadline, in words that help."""

import asyncio

import pytest

from local import chart
from tests.cluster.stage import LIFECYCLE, Json, Stage
from voicepod.kube.client import VOICE_SESSIONS

pytestmark = pytest.mark.cluster

# Long enough for five containers to start and to crash at once on a starved machine: what they
# die of is said only if they have died by then.
SOON = {**LIFECYCLE, "startDeadline": "40s"}

RAISES_AT_IMPORT = "raise RuntimeError('the recipe is missing')"

RAISES_IN_A_JOB = """
from livekit.agents import AgentServer, JobContext, cli

server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    raise RuntimeError("the oven is cold")


if __name__ == "__main__":
    cli.run_app(server)
"""

DIES_IN_A_CALL = """
import os, sys
from livekit.agents import JobContext, JobExecutorType, WorkerOptions, cli


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await ctx.wait_for_participant()
    ctx.room.register_text_stream_handler("lk.chat", die)


def die(*_: object) -> None:
    sys.stderr.write("the roof fell in")
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    options = WorkerOptions(entrypoint_fnc=entrypoint, job_executor_type=JobExecutorType.THREAD)
    cli.run_app(options)
"""

# It takes its time to come up, and goes when it is told to.
NEVER_REGISTERS = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
signal.pause()
"""


def container(*command: str, image: str = chart.AGENT_IMAGE) -> Json:
    """Return a template whose agent's container runs a command."""
    agent = {"name": "agent", "image": image, **({"command": command} if command else {})}
    return {"spec": {"containers": [agent]}}


async def agent_file(stage: Stage, name: str, source: str) -> Json:
    """Return a template that starts a file of an agent, as its author does."""
    metadata = {"name": name, "namespace": stage.namespace}
    await stage.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a.py": source}}
    )
    template = container("python", "/agents/a.py", "start")
    template["spec"]["containers"][0]["volumeMounts"] = [{"name": "a", "mountPath": "/agents"}]
    template["spec"]["volumes"] = [{"name": "a", "configMap": {"name": name}}]
    return template


async def fails(stage: Stage, name: str, template: Json, reason: str, *words: str) -> None:
    """A session of such an agent fails for a reason, in its status and in an Event."""
    await stage.apply_agent(name, template=template, lifecycle=SOON)
    await stage.apply_session(name, name)
    status = await stage.in_phase(name, "Ended", "Failed", "Active")
    assert (status["phase"], status["endReason"]) == ("Failed", reason), status
    for word in words:
        assert word in status["message"]
    assert await stage.event(name, reason, words[0])


async def test_an_agent_that_never_joins_fails_in_the_words_of_who_knows_why(stage: Stage) -> None:
    at_import = await agent_file(stage, "at-import", RAISES_AT_IMPORT)
    in_a_job = await agent_file(stage, "in-a-job", RAISES_IN_A_JOB)
    missing = "voicepod/no-such-image:dev"
    crash = ("python", "-c", "import sys; sys.exit('no flour today')")

    await asyncio.gather(
        fails(
            stage, "image", container(image=missing), "ImagePullFailed", "startDeadline", missing
        ),
        fails(
            stage,
            "crash",
            container(*crash),
            "AgentCrashed",
            "3 replacements",
            "code 1",
            "no flour today",
        ),
        fails(
            stage, "at-import", at_import, "AgentCrashed", "3 replacements", "the recipe is missing"
        ),
        fails(
            stage, "in-a-job", in_a_job, "AgentNotJoined", "3 replacements", "the agent's job ended"
        ),
        fails(
            stage,
            "silent",
            container("python", "-c", NEVER_REGISTERS),
            "AgentNotRegistered",
            "startDeadline",
            "no agent has registered",
        ),
    )

    await stage.pods_gone()


async def test_a_caller_who_is_gone_before_the_pod_is_up_leaves_nothing(stage: Stage) -> None:
    template = container("python", "-c", NEVER_REGISTERS)
    prefix = await stage.apply_agent("slow", template=template)

    async with stage.call(f"{prefix}1"):
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        await stage.in_phase(name, "Starting")

    status = await stage.in_phase(name, "Ended", "Failed")
    assert (status["phase"], status["endReason"]) == ("Ended", "CallerLeft")
    await stage.pods_gone()


async def test_a_session_that_is_deleted_while_it_starts_leaves_nothing(stage: Stage) -> None:
    await stage.apply_agent("dropped", template=container("python", "-c", NEVER_REGISTERS))
    await stage.apply_session("dropped", "dropped")
    await stage.in_phase("dropped", "Starting")
    await stage.delete(VOICE_SESSIONS, "dropped")
    await stage.gone(VOICE_SESSIONS, "dropped")
    await stage.pods_gone()


async def test_an_agent_that_dies_in_a_call_is_replaced_and_its_pod_goes(stage: Stage) -> None:
    template = await agent_file(stage, "mortal", DIES_IN_A_CALL)
    prefix = await stage.apply_agent("mortal", template=template)

    async with stage.call(f"{prefix}1") as caller:
        name = (await stage.session_of(f"{prefix}1"))["metadata"]["name"]
        first = await stage.in_phase(name, "Active")
        await caller.send_chat("Die!")
        assert await stage.event(name, "CallTakenOver")
        second = await stage.in_phase(name, "Active")
        assert list(await stage.pods()) == [second["pod"]]

    assert (first["generation"], second["generation"]) == (1, 2)
    assert first["identity"] == second["identity"]
    assert [loss["pod"] for loss in second["lost"]] == [first["pod"]]
    assert await stage.event(name, "AgentLost")
    await stage.in_phase(name, "Ended")
    await stage.pods_gone()
