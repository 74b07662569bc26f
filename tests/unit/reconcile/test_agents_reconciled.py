"""What a VoiceAgent says of itself, by the real loop, queue and reconciler."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import URL, Stage
from tests.unit.reconcile import pods
from voicepod.api.agent import VoiceAgentStatus
from voicepod.api.conditions import ConditionType, Reason, condition
from voicepod.kube.client import PODS, SECRETS, VOICE_AGENTS
from voicepod.kube.errors import Refused, Unavailable
from voicepod.livekit.errors import Unauthorized, Unreachable

pytestmark = pytest.mark.unit


def status_of(stage: Stage) -> VoiceAgentStatus:
    (agent,) = stage.kube.objects(VOICE_AGENTS)
    return VoiceAgentStatus.model_validate(agent.get("status", {}))


def ready(stage: Stage) -> tuple[str, str]:
    found = condition(status_of(stage).conditions, ConditionType.READY)
    assert found is not None
    return found.status, found.reason


def refusing(words: str) -> Callable[[Call], Awaitable[None]]:
    async def fault(call: Call) -> None:
        if (call.verb, call.plural) == ("create", PODS.plural):
            raise Refused(words)

    return fault


@in_hours
async def test_an_agent_whose_sessions_can_start_is_ready_and_makes_no_pod() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        await asyncio.sleep(1)

        assert ready(stage) == ("True", Reason.READY)
        assert status_of(stage).observed_generation == 1
        assert stage.pod_names() == []


@in_hours
async def test_a_missing_secret_is_told_until_it_is_there() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        stage.kube.remove(SECRETS, "voice", "keys")
        await asyncio.sleep(1)
        assert ready(stage) == ("False", Reason.SECRET_NOT_FOUND)

        stage.apply_agent()
        await asyncio.sleep(11)

        assert ready(stage) == ("True", Reason.READY)
        assert [note.reason for kind, note in stage.events.notes if kind == "VoiceAgent"] == [
            "SecretNotFound",
            "Ready",
        ]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("LiveKit at ws://livekit is not reachable"), Reason.LIVEKIT_UNREACHABLE),
        (Unauthorized("LiveKit does not accept the API key"), Reason.LIVEKIT_UNAUTHORIZED),
    ],
)
def test_a_livekit_that_cannot_be_used_is_told_until_it_can(
    error: Unreachable | Unauthorized, reason: Reason
) -> None:
    @in_hours
    async def run() -> None:
        async with Stage() as stage:
            stage.livekit.faults[URL] = error
            stage.apply_agent()
            await asyncio.sleep(1)
            assert ready(stage) == ("False", reason)

            stage.livekit.faults.clear()
            await asyncio.sleep(11)

            assert ready(stage) == ("True", Reason.READY)

    run()


@in_hours
async def test_a_refused_template_is_told_in_the_api_servers_words_until_it_is_mended() -> None:
    async with Stage() as stage:
        stage.kube.fault = refusing("spec.containers[0].image: Required value")
        stage.apply_agent()
        await asyncio.sleep(1)
        assert ready(stage) == ("False", Reason.TEMPLATE_REFUSED)
        assert "Required value" in status_of(stage).conditions[0].message

        stage.kube.fault = None
        template = {"spec": {"containers": [{"name": "agent", "image": "mended"}]}}
        stage.apply_agent(template=template)
        await asyncio.sleep(1)

        assert ready(stage) == ("True", Reason.READY)
        assert status_of(stage).observed_generation == 2


@in_hours
async def test_a_mended_agent_has_its_waiting_sessions_go_on_at_once() -> None:
    async with Stage() as stage:
        stage.kube.fault = refusing("it is invalid")
        stage.apply_agent()
        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(100)
        stage.kube.fault = None

        template = {"spec": {"containers": [{"name": "agent", "image": "mended"}]}}
        stage.apply_agent(template=template)
        await asyncio.sleep(0.1)

        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_an_agent_counts_its_sessions() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(2)
        assert (status_of(stage).starting, status_of(stage).active) == (1, 0)
        assert status_of(stage).last_call is not None

        stage.sidecar().register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(2)
        assert (status_of(stage).starting, status_of(stage).active) == (0, 1)

        stage.edit_session(end=True)
        await asyncio.sleep(15)
        assert (status_of(stage).starting, status_of(stage).active) == (0, 0)


@in_hours
async def test_an_agent_that_works_is_left_alone_for_minutes() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        await asyncio.sleep(1)
        writes, asked = len(stage.kube.writes()), len(stage.livekit.asked)

        await asyncio.sleep(290)
        assert (len(stage.kube.writes()), len(stage.livekit.asked)) == (writes, asked)
        await asyncio.sleep(20)
        assert stage.livekit.asked[asked:] == ["check"]


@in_hours
async def test_an_agent_that_replaced_another_of_its_name_is_checked_for_itself() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        await asyncio.sleep(1)
        stage.kube.fault = refusing("it is invalid")

        stage.kube.remove(VOICE_AGENTS, "voice", "desk")
        stage.apply_agent()
        await asyncio.sleep(1)

        assert ready(stage) == ("False", Reason.TEMPLATE_REFUSED)


@in_hours
async def test_an_api_server_that_is_away_is_not_the_agents_fault() -> None:
    async with Stage() as stage:

        async def away(call: Call) -> None:
            raise Unavailable("it is away")

        stage.kube.fault = away
        stage.apply_agent()
        await asyncio.sleep(20)
        assert status_of(stage).conditions == []

        stage.kube.fault = None
        await asyncio.sleep(31)

        assert ready(stage) == ("True", Reason.READY)
