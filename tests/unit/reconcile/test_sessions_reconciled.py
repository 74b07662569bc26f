"""Sessions from their making to their end, by the real loop, queue, reconciler and actor."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import pytest

from tests.support.fake_kube import Call
from tests.support.hours import in_hours
from tests.support.operator_stage import ROOM, SID, URL, Stage
from tests.unit.reconcile import pods
from tests.unit.reconcile.scenes import at, condition_of
from voicepod.api.conditions import ConditionType, Reason
from voicepod.api.session import Phase
from voicepod.assignment.errors import PodError, PodRefused, PodUnreachable
from voicepod.assignment.messages import Act, EndReason
from voicepod.kube.client import PODS, SECRETS, VOICE_AGENTS, VOICE_SESSIONS
from voicepod.kube.errors import KubeError, Refused, Unavailable
from voicepod.livekit.errors import Unreachable
from voicepod.livekit.rooms import Room

pytestmark = pytest.mark.unit

Fault = Callable[[Call], Awaitable[None]]


def failing(verb: str, plural: str, error: KubeError) -> Fault:
    """Have one kind of request fail."""

    async def fault(call: Call) -> None:
        if (call.verb, call.plural) == (verb, plural) and call.name != "check-1":
            raise error

    return fault


async def waiting_call(stage: Stage, **spec: Any) -> None:
    """A caller is in the room, and the session has its pod."""
    stage.apply_agent(**spec)
    stage.callers("caller")
    stage.make_session()
    await asyncio.sleep(0.5)


async def live_call(stage: Stage, plain: bool = True, **spec: Any) -> None:
    """The agent is in the room with its caller."""
    await waiting_call(stage, **spec)
    stage.sidecar().plain = plain
    stage.sidecar().register(stage.sessions.clock())
    stage.kubelet(pods.IS_READY["status"])
    await asyncio.sleep(0.5)
    assert stage.status().phase is Phase.ACTIVE


@in_hours
async def test_a_call_from_its_session_to_its_end_takes_few_writes() -> None:
    async with Stage() as stage:
        await waiting_call(stage)
        assert stage.status().phase is Phase.STARTING
        stage.kubelet(pods.CREATING["status"])
        await asyncio.sleep(0.5)
        stage.kubelet(pods.RUNS["status"])
        await asyncio.sleep(2)
        stage.sidecar().register(stage.sessions.clock())
        assert stage.hint()
        await asyncio.sleep(0.1)
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(30)
        assert stage.status().phase is Phase.ACTIVE

        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(5)
        assert stage.status().phase is Phase.RECONNECTING
        await asyncio.sleep(6)
        assert stage.status().phase is Phase.ENDING
        assert stage.sidecar().told == ["CallerLeft"]
        stage.sidecar().end(stage.sessions.clock(), EndReason.TERMINATED, "told to")
        stage.hint()
        await asyncio.sleep(1)

        status = stage.status()
        assert (status.phase, status.end_reason) == (Phase.ENDED, Reason.CALLER_LEFT)
        ledger = status.pod_seconds
        assert ledger is not None
        assert ledger.talking == pytest.approx(30, abs=2)
        assert ledger.talking + ledger.waiting == pytest.approx(44, abs=2)
        assert stage.pod_names() == []
        assert stage.story() == ["PodStarted", "CallerAway"]
        await asyncio.sleep(3590)
        assert stage.kube.objects(VOICE_SESSIONS) != []
        await asyncio.sleep(60)
        assert stage.kube.objects(VOICE_SESSIONS) == []
        # A pod's making and going, the session's going, and one status for each thing that a
        # reader could see happen.
        assert len(stage.session_writes()) <= 9


@in_hours
async def test_the_agent_gets_its_one_job_with_tokens_for_its_room_alone() -> None:
    async with Stage() as stage:
        await live_call(stage)

        assignment, tokens = stage.sidecar().assignment, stage.sidecar().tokens
        assert assignment is not None
        assert tokens is not None
        assert (assignment.room.sid, assignment.room.name) == (SID, ROOM)
        assert (assignment.livekit_url, assignment.generation) == (URL, 1)
        claims = [
            jwt.decode(token, "a-secret-of-at-least-32-characters", ["HS256"])
            for token in (tokens.join_token, tokens.room_token)
        ]
        assert [claim["video"]["room"] for claim in claims] == [ROOM, ROOM]
        assert (stage.pods.asked.count(Act.ASSIGN), stage.pods.asked.count(Act.TOKEN)) == (1, 0)


@in_hours
async def test_an_agent_that_asks_for_something_gets_tokens_of_its_own() -> None:
    async with Stage() as stage:
        await live_call(stage, plain=False)

        tokens = stage.sidecar().tokens
        assert tokens is not None
        claims = jwt.decode(tokens.join_token, "a-secret-of-at-least-32-characters", ["HS256"])
        assert claims["name"] == "Ada"


@in_hours
async def test_a_rotated_key_counts_at_once_in_calls_that_began_with_the_old_one() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.livekit.secret = "another-secret-of-at-least-32-characters"
        stage.apply_key(stage.livekit.secret)

        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(1)

        assert stage.status().phase is Phase.RECONNECTING


@in_hours
async def test_a_session_by_kubectl_opens_its_room_and_remembers_it() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        stage.make_session(roomSid="")
        await asyncio.sleep(0.5)

        assert stage.status().room_sid == stage.livekit.rooms[ROOM].sid
        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_session_waits_for_its_agent_and_goes_on_when_it_is_applied() -> None:
    async with Stage() as stage:
        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(100)
        accepted = condition_of(stage.status(), ConditionType.ACCEPTED)
        assert (accepted.status, accepted.reason) == ("False", Reason.AGENT_NOT_FOUND)
        assert stage.pod_names() == []

        stage.apply_agent()
        await asyncio.sleep(0.5)

        assert stage.pod_names() == ["call-1"]
        assert condition_of(stage.status(), ConditionType.ACCEPTED).status == "True"


@in_hours
async def test_a_missing_secret_is_named_and_the_session_goes_on_when_it_is_there() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        stage.kube.remove(SECRETS, "voice", "keys")
        stage.callers("caller")
        stage.make_session()
        await asyncio.sleep(20)
        status = stage.status()
        assert (status.phase, status.reason) == (Phase.PENDING, Reason.SECRET_NOT_FOUND)
        assert "voice/keys" in status.message
        assert stage.story() == ["SecretNotFound"]

        stage.apply_agent()
        await asyncio.sleep(31)

        assert stage.status().phase is Phase.STARTING
        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_livekit_that_is_away_is_named_and_the_session_goes_on_when_it_is_back() -> None:
    async with Stage() as stage:
        stage.apply_agent()
        stage.livekit.faults[URL] = Unreachable("LiveKit at ws://livekit is not reachable")
        stage.make_session(roomSid="")
        await asyncio.sleep(20)
        assert stage.status().reason is Reason.LIVEKIT_UNREACHABLE
        assert stage.pod_names() == []

        stage.livekit.faults.clear()
        await asyncio.sleep(31)

        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_template_that_is_refused_is_told_in_the_api_servers_words() -> None:
    async with Stage() as stage:
        words = 'Pod "call-1" is invalid: spec.containers[0].image: Required value'
        stage.kube.fault = failing("create", PODS.plural, Refused(words))
        await waiting_call(stage)
        await asyncio.sleep(20)
        status = stage.status()
        assert (status.phase, status.reason) == (Phase.PENDING, Reason.TEMPLATE_REFUSED)
        assert words in status.message
        writes = [call for call in stage.session_writes() if call.verb == "patch"]

        stage.kube.fault = None
        await asyncio.sleep(31)

        # Why there is no pod, and then that the caller is there.
        assert len(writes) == 2
        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_caller_who_leaves_while_no_pod_can_be_started_ends_the_session() -> None:
    async with Stage() as stage:
        stage.kube.fault = failing("create", PODS.plural, Refused("it is invalid"))
        await waiting_call(stage)

        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(60)

        assert stage.status().end_reason is Reason.CALLER_LEFT


@pytest.mark.parametrize("owners", [[], [{"uid": "another"}]])
def test_a_pod_of_somebody_else_is_left_alone(owners: list[dict[str, Any]]) -> None:
    @in_hours
    async def run() -> None:
        async with Stage() as stage:
            metadata = {"name": "call-1", "ownerReferences": owners}
            stage.kube.put(PODS, "voice", {"metadata": metadata, "spec": {}})
            await waiting_call(stage)

            assert "belongs to somebody else" in stage.status().message
            assert stage.status().pod == ""

    run()


@in_hours
async def test_a_pod_that_cannot_be_reached_is_asked_again() -> None:
    async with Stage() as stage:
        away: list[PodError] = [PodUnreachable("the pod at 10.0.0.1 did not answer")] * 3
        stage.pods.fault = lambda act: away.pop() if away and act is Act.ASSIGN else None

        await waiting_call(stage)
        stage.sidecar().register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(30)

        assert stage.status().phase is Phase.ACTIVE
        assert stage.pods.asked.count(Act.ASSIGN) == 4


@in_hours
async def test_a_hint_is_followed_even_if_its_pod_did_not_answer_at_first() -> None:
    async with Stage() as stage:
        await live_call(stage)
        away: list[PodError] = [PodUnreachable("the pod at 10.0.0.1 did not answer")]
        stage.pods.fault = lambda act: away.pop() if away else None
        stage.callers()
        stage.sidecar().end(stage.sessions.clock(), EndReason.JOB_FINISHED, "it is done")

        stage.hint()
        await asyncio.sleep(30)

        assert stage.status().end_reason is Reason.CALLER_LEFT


@in_hours
async def test_a_webhook_is_followed_even_if_livekit_did_not_answer_at_first() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.livekit.faults[URL] = Unreachable("LiveKit at ws://livekit is not reachable")
        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(5)
        assert stage.status().phase is Phase.ACTIVE

        stage.livekit.faults.clear()
        await asyncio.sleep(60)

        assert stage.status().end_reason is Reason.CALLER_LEFT


@in_hours
async def test_an_agent_that_ends_right_after_its_caller_left_is_not_lost() -> None:
    async with Stage() as stage:
        await live_call(stage)
        # The webhook is still on its way.
        stage.callers()
        stage.sidecar().end(stage.sessions.clock(), EndReason.JOB_FINISHED, "it is done")
        stage.hint()
        await asyncio.sleep(1)

        assert stage.status().end_reason is Reason.CALLER_LEFT


@in_hours
async def test_an_agent_that_crashes_while_its_caller_is_there_is_replaced() -> None:
    async with Stage() as stage:
        await live_call(stage)
        identity = stage.status().identity

        stage.kubelet(pods.CRASHED["status"])
        await asyncio.sleep(1)
        assert stage.pod_names() == ["call-2"]
        stage.sidecar("call-2").register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"], "call-2")
        await asyncio.sleep(2)

        status = stage.status()
        assert (status.phase, status.pod, status.generation) == (Phase.ACTIVE, "call-2", 2)
        assert status.identity == identity
        (loss,) = status.lost
        assert "ModuleNotFoundError" in loss.message
        assert stage.story()[-2:] == ["AgentLost", "CallTakenOver"]


@in_hours
async def test_an_agent_whose_pod_is_deleted_stays_until_one_of_another_name_comes() -> None:
    async with Stage() as stage:
        await live_call(stage)
        (pod,) = stage.kube.objects(PODS)
        metadata = {**pod["metadata"], "deletionTimestamp": "2026-01-01T12:00:05Z"}
        stage.kube.put(PODS, "voice", {**pod, "metadata": metadata})
        await asyncio.sleep(1)
        assert stage.livekit.rooms[ROOM].others == {stage.status().identity}

        stage.sidecar("call-2").plain, stage.sidecar("call-2").identity = False, "another"
        stage.sidecar("call-2").register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"], "call-2")
        await asyncio.sleep(3)

        assert (stage.status().phase, stage.status().pod) == (Phase.ACTIVE, "call-2")
        assert stage.livekit.rooms[ROOM].others == {"another"}


@in_hours
async def test_an_agent_is_not_missed_for_the_one_that_it_replaces() -> None:
    async with Stage() as stage:
        # Its node is dead, and so its end makes nobody look at the room.
        stage.kube.graceful = frozenset({PODS})
        await live_call(stage)
        stage.livekit.rooms[ROOM] = Room(ROOM, SID, frozenset({"caller"}))
        stage.touch("EV_left")
        await asyncio.sleep(6)
        assert [loss.pod for loss in stage.status().lost] == ["call-1"]

        stage.sidecar("call-2").register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"], "call-2")
        await asyncio.sleep(3)
        assert [loss.pod for loss in stage.status().lost] == ["call-1"]
        assert (stage.status().phase, stage.status().pod) == (Phase.ACTIVE, "call-2")


@in_hours
async def test_a_call_whose_agents_all_crash_fails_and_keeps_what_each_of_them_said() -> None:
    async with Stage() as stage:
        await live_call(stage)

        for generation in range(1, 5):
            stage.kubelet(pods.CRASHED["status"], f"call-{generation}")
            await asyncio.sleep(5)

        status = stage.status()
        assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.AGENT_CRASHED)
        assert all("ModuleNotFoundError" in loss.message for loss in status.lost)
        assert "after 3 replacements" in status.message
        assert stage.pod_names() == []


@in_hours
async def test_an_agent_that_refuses_its_job_fails_the_session_after_the_deadline() -> None:
    async with Stage() as stage:
        refusal = PodRefused("AgentRefused", "the agent did not take the job")
        stage.pods.fault = lambda act: refusal if act is Act.ASSIGN else None
        await waiting_call(stage)
        stage.sidecar().register(stage.sessions.clock())
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(62)

        status = stage.status()
        assert (status.phase, status.end_reason) == (Phase.FAILED, Reason.AGENT_REFUSED)
        assert "did not take the job" in status.message


@in_hours
async def test_a_room_that_the_agent_closes_is_closed_and_the_call_ends() -> None:
    async with Stage() as stage:
        await live_call(stage)
        sidecar = stage.sidecar()
        sidecar.status = type(sidecar.status)(
            **{
                name: getattr(sidecar.status, name)
                for name in ("state", "agent", "job", "at", "session", "generation")
            },
            room_deletion_requested=True,
        )
        stage.hint()
        await asyncio.sleep(1)
        assert ROOM not in stage.livekit.rooms
        assert stage.status().phase is Phase.ENDING
        sidecar.end(stage.sessions.clock(), EndReason.TERMINATED, "told to")
        await asyncio.sleep(3)

        assert stage.status().end_reason is Reason.AGENT_CLOSED_ROOM
        assert stage.livekit.asked.count("close") == 1


@in_hours
async def test_spec_end_ends_the_call() -> None:
    async with Stage() as stage:
        await live_call(stage)

        stage.edit_session(end=True)
        await asyncio.sleep(0.5)
        assert stage.sidecar().told == ["Requested"]
        await asyncio.sleep(11)

        status = stage.status()
        assert (status.phase, status.end_reason) == (Phase.ENDED, Reason.REQUESTED)
        assert stage.pod_names() == []


@in_hours
async def test_a_deleted_session_takes_its_pod_along() -> None:
    async with Stage() as stage:
        await live_call(stage)

        stage.kube.remove(VOICE_SESSIONS, "voice", "call")
        await asyncio.sleep(0.5)

        assert stage.pod_names() == []


@in_hours
async def test_a_session_that_replaced_another_of_its_name_waits_for_the_others_pod_to_go() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.kube.remove(VOICE_SESSIONS, "voice", "call")
        stage.make_session()
        await asyncio.sleep(5)
        status = stage.status()
        assert (status.phase, status.pod) == (Phase.PENDING, "")
        assert "belongs to somebody else" in status.message
        assert stage.pods.asked.count(Act.ASSIGN) == 1

        # The garbage collector takes it away.
        stage.kube.remove(PODS, "voice", "call-1")
        await asyncio.sleep(31)

        assert stage.status().pod == "call-1"


@in_hours
async def test_pods_are_not_deleted_for_a_session_that_only_the_cache_has_lost() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.world.drop_session(("voice", "call"))

        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(0.5)

        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_deleted_voice_agent_lets_its_live_calls_go_on_and_end() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.kube.remove(VOICE_AGENTS, "voice", "desk")
        await asyncio.sleep(30)
        assert stage.status().phase is Phase.ACTIVE

        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(30)

        assert stage.status().end_reason is Reason.CALLER_LEFT


@in_hours
async def test_nothing_is_written_while_nothing_happens() -> None:
    async with Stage() as stage:
        await live_call(stage)
        before = len(stage.session_writes())

        for _ in range(5):
            stage.kubelet(pods.IS_READY["status"])
            stage.hint()
            await asyncio.sleep(60)

        assert len(stage.session_writes()) == before


@in_hours
async def test_a_restarted_operator_goes_on_with_a_live_call_without_a_second_job() -> None:
    async with Stage() as stage:
        await live_call(stage)
        before = stage.status()

        await stage.restart_operator()
        await asyncio.sleep(5)

        assert stage.status() == before
        assert stage.pods.asked.count(Act.ASSIGN) == 1
        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_a_restarted_operator_asks_the_pod_of_a_live_call_and_ends_it_in_time() -> None:
    async with Stage() as stage:
        await live_call(stage, lifecycle={"maxDuration": "10m", "shutdownGrace": "30s"})
        await stage.stop_operator()
        stage.livekit.asked.clear()
        stage.pods.asked.clear()

        await stage.restart_operator()
        await asyncio.sleep(5)
        assert set(stage.pods.asked) == {Act.STATUS}
        assert "look" not in stage.livekit.asked

        await asyncio.sleep(600)
        assert stage.status().end_reason is Reason.MAX_DURATION


@in_hours
async def test_a_restarted_operator_hears_what_an_agent_had_to_tell_while_there_was_none() -> None:
    async with Stage() as stage:
        await live_call(stage)
        await stage.stop_operator()
        stage.sidecar().end(stage.sessions.clock(), EndReason.JOB_FINISHED, "it is over")

        await stage.restart_operator()
        await asyncio.sleep(5)

        assert [loss.pod for loss in stage.status().lost] == ["call-1"]


@in_hours
async def test_an_operator_killed_between_pod_and_status_takes_the_pod_it_made() -> None:
    async with Stage() as stage:
        stage.kube.fault = failing("patch", VOICE_SESSIONS.plural, Unavailable("it is away"))
        await waiting_call(stage)
        assert (stage.pod_names(), stage.status().pod) == (["call-1"], "")

        stage.kube.fault = None
        await stage.restart_operator()
        await asyncio.sleep(0.5)

        assert (stage.pod_names(), stage.status().pod) == (["call-1"], "call-1")


@in_hours
async def test_nothing_is_done_about_an_end_before_the_api_server_knows_of_it() -> None:
    async with Stage() as stage:
        await live_call(stage)
        stage.sidecar().end(stage.sessions.clock(), EndReason.JOB_FINISHED, "the caller left")
        stage.callers()
        stage.kube.fault = failing("patch", VOICE_SESSIONS.plural, Unavailable("it is away"))
        stage.hint()
        await asyncio.sleep(20)
        assert stage.pod_names() == ["call-1"]

        stage.kube.fault = None
        await asyncio.sleep(31)

        assert stage.pod_names() == []
        assert stage.status().end_reason is Reason.CALLER_LEFT


@in_hours
async def test_a_session_does_not_go_before_its_end_was_written() -> None:
    async with Stage() as stage:
        await live_call(stage, lifecycle={"ttlAfterFinished": "5s"})
        left = []

        async def fault(call: Call) -> None:
            if call.plural != VOICE_SESSIONS.plural:
                return
            seen = stage.status()
            if call.verb == "delete":
                left.append(seen)
            elif seen.end_reason and stage.sessions.clock() < at(60):
                raise Unavailable("it is away")

        stage.kube.fault = fault
        stage.callers()
        stage.touch("EV_left")
        await asyncio.sleep(120)

        assert [(one.phase, bool(one.pod_seconds)) for one in left] == [(Phase.ENDED, True)]


@in_hours
async def test_an_operator_killed_between_pod_and_sid_opens_the_room_before_it_gives_the_job() -> (
    None
):
    async with Stage() as stage:
        stage.kube.fault = failing("patch", VOICE_SESSIONS.plural, Unavailable("it is away"))
        stage.apply_agent()
        stage.make_session(roomSid="")
        await asyncio.sleep(0.5)
        stage.sidecar().register(stage.sessions.clock())
        stage.kube.fault = None
        await stage.restart_operator()
        stage.kubelet(pods.IS_READY["status"])
        await asyncio.sleep(0.5)

        assignment = stage.sidecar().assignment
        assert assignment is not None
        assert assignment.room.sid == stage.status().room_sid == stage.livekit.rooms[ROOM].sid
        stage.livekit.rooms.clear()
        stage.touch("EV_finished")
        await asyncio.sleep(12)
        assert stage.status().end_reason is Reason.ROOM_CLOSED


@in_hours
async def test_a_second_session_for_a_room_ends_and_leaves_the_first_alone() -> None:
    async with Stage() as stage:
        await live_call(stage)

        stage.make_session("again")
        await asyncio.sleep(0.5)

        assert stage.status("again").end_reason is Reason.ROOM_TAKEN
        assert stage.status().phase is Phase.ACTIVE
        assert stage.pod_names() == ["call-1"]


@in_hours
async def test_an_api_server_that_is_away_for_a_while_changes_nothing() -> None:
    async with Stage() as stage:
        stage.kube.fault = failing("create", PODS.plural, Unavailable("it is away"))
        await waiting_call(stage)
        await asyncio.sleep(20)
        assert stage.pod_names() == []

        stage.kube.fault = None
        await asyncio.sleep(31)

        assert stage.pod_names() == ["call-1"]
