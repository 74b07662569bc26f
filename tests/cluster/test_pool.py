"""The warm pool: pods that wait, are claimed once, and are made anew."""

import pytest

from tests.cluster.stage import Json, Stage
from voicepod.kube.client import PODS, VOICE_AGENTS

pytestmark = pytest.mark.cluster


async def warm_pods(stage: Stage, agent: str) -> dict[str, Json]:
    """Return the idle pods of an agent by name."""
    selector = f"voicepod.dev/agent={agent},!voicepod.dev/session"
    found = await stage.kube.list_all(PODS, stage.namespace, selector)
    return {
        pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]
    }


async def filled(
    stage: Stage, agent: str, count: int, but: frozenset[str] = frozenset()
) -> set[str]:
    """Wait until ``count`` pods are warm, none of them among ``but``; return their names."""

    async def there() -> set[str] | None:
        status = (await stage.kube.get(VOICE_AGENTS, stage.namespace, agent)).get("status", {})
        names = set(await warm_pods(stage, agent))
        ready = status.get("warm") == count and len(names) == count and not names & but
        return names if ready else None

    return await stage.eventually(f"{count} pods of {agent} are warm", there)


async def test_a_call_takes_a_warm_pod_and_the_pool_is_filled_again(stage: Stage) -> None:
    prefix = await stage.apply_agent("ready", pool={"min": 2, "max": 3})
    waiting = await filled(stage, "ready", 2)

    async with stage.call(f"{prefix}1") as one, stage.call(f"{prefix}2", "alice") as two:
        await one.heard_speech()
        await two.heard_speech()
        sessions = [await stage.session_of(f"{prefix}{number}") for number in (1, 2)]
        pods = {
            (await stage.in_phase(session["metadata"]["name"], "Active"))["pod"]
            for session in sessions
        }
        again = await filled(stage, "ready", 2)

    assert pods == waiting
    assert not again & waiting
    for session in sessions:
        await stage.in_phase(session["metadata"]["name"], "Ended")
    await stage.pods_gone()


async def test_a_new_template_replaces_pods_that_wait_and_no_call(stage: Stage) -> None:
    prefix = await stage.apply_agent("changed", pool={"min": 1, "max": 2})
    first = await filled(stage, "changed", 1)

    async with stage.call(f"{prefix}1") as caller:
        greeted = await caller.heard_speech()
        second = await filled(stage, "changed", 1)
        patch = {"spec": {"template": {"metadata": {"labels": {"version": "two"}}}}}
        await stage.kube.patch(VOICE_AGENTS, stage.namespace, "changed", patch)
        third = await filled(stage, "changed", 1, but=frozenset(first | second))
        silent = await caller.heard_silence(after=greeted)
        asked = await caller.send_chat("When do you open?")
        await caller.heard_speech(after=max(silent, asked))
        session = await stage.session_of(f"{prefix}1")
        status = await stage.status(session["metadata"]["name"])

    assert {status["pod"]} == first
    pods = await warm_pods(stage, "changed")
    assert {pods[name]["metadata"]["labels"]["version"] for name in third} == {"two"}
