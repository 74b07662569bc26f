"""Agents as LiveKit's documentation prints them take calls, as they are and in any language."""

from pathlib import Path

import pytest

import local
from local import chart
from local.cluster import Cluster
from tests.cluster.stage import Json, Stage

pytestmark = pytest.mark.cluster

AGENTS = Path(__file__).parent / "agents"
NODE = local.Image("voicepod/test-node-agent:dev", AGENTS / "node/Dockerfile", AGENTS / "node")


async def is_heard(stage: Stage, agent: str, container: Json, pod: Json) -> None:
    """A caller of this agent hears it, and its pod goes when they hang up."""
    template = {"spec": {"containers": [{"name": "agent", **container}], **pod}}
    prefix = await stage.apply_agent(agent, template=template)
    async with stage.call(f"{prefix}1") as caller:
        await caller.heard_speech()
    session = await stage.session_of(f"{prefix}1")
    status = await stage.in_phase(session["metadata"]["name"], "Ended", "Failed")
    assert status["endReason"] == "CallerLeft", status
    await stage.pods_gone()


@pytest.mark.parametrize("file", ["agent_server.py", "worker_options.py"])
async def test_a_python_agent_takes_a_call_unchanged(stage: Stage, file: str) -> None:
    name = file.removesuffix(".py").replace("_", "-")
    await stage.kubectl("create", "configmap", name, f"--from-file={AGENTS / file}")

    await is_heard(
        stage,
        name,
        {
            "image": chart.AGENT_IMAGE,
            "command": ["python", f"/agents/{file}", "start"],
            "volumeMounts": [{"name": "agents", "mountPath": "/agents"}],
        },
        {"volumes": [{"name": "agents", "configMap": {"name": name}}]},
    )


async def test_a_nodejs_agent_takes_a_call_in_an_image_of_its_own(
    stage: Stage, cluster: Cluster
) -> None:
    local.build(NODE)

    await is_heard(stage, "node", {"image": NODE.name}, {})
