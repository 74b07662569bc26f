"""What an agent's runtime may tell its sidecar, and what the operator hears of it."""

import pytest

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, POD_UID, Rig, Surroundings, end_of
from voicepod.assignment.messages import Speech
from voicepod.sidecar import supervisor

pytestmark = pytest.mark.unit

KEY = "Bearer agent-key"
BEAT = '{"speech": {"state": "speaking", "turns": 3, "e2e_latency": 0.7}}'


async def tell(pod: Surroundings, method: str, what: str, body: str | bytes, key: str = KEY) -> int:
    url = f"http://{HOST}:{pod.agent_port}/voicepod/{what}"
    headers = {"Authorization": key}
    async with pod.http.request(method, url, data=body, headers=headers) as response:
        return response.status


async def beat(pod: Rig, body: str | bytes = BEAT, key: str = KEY) -> int:
    return await tell(pod, "POST", "beat", body, key)


async def keep(pod: Surroundings, body: str | bytes, key: str = KEY) -> int:
    return await tell(pod, "PUT", "checkpoint", body, key)


async def test_the_operator_hears_how_the_agent_talks(pod: Rig) -> None:
    await pod.running()
    assert (await pod.status()).speech is None
    assert await beat(pod) == 204
    assert (await pod.status()).speech == Speech("speaking", turns=3, e2e_latency=0.7)


async def test_the_operator_gets_the_newest_checkpoint(pod: Rig) -> None:
    await pod.running()
    assert await pod.client.checkpoint(HOST, POD_UID) is None
    assert await keep(pod, "one") == 204
    assert await keep(pod, 'two: "naïve" \\ ☎') == 204
    assert await pod.client.checkpoint(HOST, POD_UID) == 'two: "naïve" \\ ☎'


async def test_the_operator_gets_the_checkpoint_of_an_agent_that_has_died(pod: Rig) -> None:
    worker = await pod.running()
    await keep(pod, "so far")
    await worker.socket.close()
    await until(lambda: pod.supervisor.over.is_set())
    assert await pod.client.checkpoint(HOST, POD_UID) == "so far"


async def test_the_largest_checkpoint_finds_its_way_to_the_next_agent(pod: Rig) -> None:
    await pod.running()
    largest = '"\\' * (256 * 1024)  # each character is escaped on its way
    assert await keep(pod, largest) == 204
    assert await pod.client.checkpoint(HOST, POD_UID) == largest
    assert await keep(pod, largest + "x") == 413


async def test_an_assignment_takes_the_largest_checkpoint(pod: Rig) -> None:
    largest = '"\\' * (256 * 1024)
    await pod.accepted(checkpoint=largest, metadata="\x01" * 64 * 1024)
    assert await pod.client.checkpoint(HOST, POD_UID) == largest


async def test_an_agent_that_hangs_is_a_hint(pod: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "TICK", 0.01)
    await pod.running()
    await until(lambda: pod.operator.hints)
    before = len(pod.operator.hints)
    await beat(pod)
    await until(lambda: pod.supervisor.over.is_set())
    assert end_of(await pod.status())[:2] == ("lost", "AgentHung")
    await until(lambda: len(pod.operator.hints) > before)


async def test_an_agent_that_does_not_answer_is_lost_at_once(pod: Rig) -> None:
    await pod.running()
    await beat(pod, '{"speech": {"state": "thinking"}, "waited": 20.5}')
    assert end_of(await pod.status()) == (
        "lost",
        "AgentSilent",
        "the caller has waited for the agent to speak for 20 seconds, and it is thinking",
    )


async def test_a_call_in_which_nobody_speaks_is_a_hint_now_and_then(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "TICK", 0.01)
    monkeypatch.setattr(supervisor, "_IDLE_HINTS", 0.01)
    await pod.running(idle_timeout=60.0)
    # The last one, so that none is missed while these ticks fly.
    await beat(pod, '{"speech": {"state": "listening"}, "quiet": 61.5, "last": true}')
    before = len(pod.operator.hints)
    # The first one might have got lost.
    await until(lambda: len(pod.operator.hints) > before + 1)
    assert (await pod.status()).idle


@pytest.mark.parametrize("key", ["", "Bearer wrong", "agent-key", "Bearer stop-key"])
async def test_nobody_else_speaks_for_the_agent(pod: Rig, key: str) -> None:
    await pod.running()
    assert await beat(pod, key=key) == 401
    assert await keep(pod, "mine", key=key) == 401
    assert pod.supervisor.pod.status().speech is None
    assert pod.supervisor.pod.checkpoint is None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ("{}", 400),
        ('{"speech": {"state": 1}}', 400),
        (b"\xff", 400),
        (" " * (16 * 1024 + 1), 413),
    ],
)
async def test_an_odd_beat_is_refused(pod: Rig, body: str | bytes, status: int) -> None:
    await pod.running()
    assert await beat(pod, body) == status
    assert pod.supervisor.pod.state == "running"


async def test_a_pod_without_a_job_has_no_conversation(pod: Rig) -> None:
    await pod.warm()
    assert await keep(pod, "hello?") == 409
    assert pod.supervisor.pod.checkpoint is None


async def test_a_checkpoint_that_is_no_text_is_refused(pod: Rig) -> None:
    await pod.running()
    assert await keep(pod, b"\xff") == 400
