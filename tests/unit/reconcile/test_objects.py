import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.reconcile import pods
from tests.unit.reconcile.scenes import at
from voicepod.api.conditions import Reason
from voicepod.api.session import Phase
from voicepod.reconcile.objects import parse_agent, parse_pod, parse_session

pytestmark = pytest.mark.unit

SESSION: dict[str, Any] = {
    "apiVersion": "voicepod.dev/v1alpha1",
    "kind": "VoiceSession",
    "metadata": {
        "name": "call",
        "namespace": "voice",
        "uid": "session-uid",
        "resourceVersion": "42",
        "generation": 1,
        "creationTimestamp": "2026-01-01T12:00:00Z",
        "annotations": {"voicepod.dev/room-changed": "EV_1"},
        "managedFields": [],
    },
    "spec": {"agentRef": {"name": "desk"}, "room": "a room", "end": False, "metadata": ""},
}


@pytest.mark.parametrize(
    ("raw", "reason", "words"),
    [
        (pods.NEW, Reason.POD_STARTING, "the pod is starting"),
        (pods.CREATING, Reason.POD_STARTING, "the pod is starting"),
        (pods.UNSCHEDULABLE, Reason.POD_UNSCHEDULABLE, "1 Insufficient cpu"),
        (pods.PULLING, Reason.IMAGE_PULL_FAILED, 'Back-off pulling image "registry.example'),
        (pods.BAD_SIDECAR_IMAGE, Reason.IMAGE_PULL_FAILED, "'voicepod': ErrImageNeverPull"),
        (pods.BAD_CONFIG, Reason.CONTAINER_FAILED, 'secret "keys" not found'),
        (pods.CRASH_LOOPING_SIDECAR, Reason.CONTAINER_FAILED, "'voicepod': CrashLoopBackOff"),
        (pods.CRASHED, Reason.AGENT_CRASHED, "code 1: ModuleNotFoundError"),
        (pods.KILLED, Reason.AGENT_CRASHED, "code 137: OOMKilled"),
        (pods.EVICTED, Reason.CONTAINER_FAILED, "The node was low on resource: memory."),
        (pods.RUNS, Reason.AGENT_NOT_REGISTERED, "no agent has registered yet"),
        (pods.COMPLETED, Reason.AGENT_CRASHED, "code 0: Completed"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str) else "",
)
def test_a_pod_that_is_not_ready_tells_why_in_the_words_of_who_knows(
    raw: dict[str, Any], reason: Reason, words: str
) -> None:
    pod = parse_pod(raw)

    assert not pod.ready
    assert pod.problem is not None
    assert pod.problem.reason is reason
    assert words in pod.problem.message


def test_a_ready_pod_has_no_problem_and_says_where_it_is() -> None:
    pod = parse_pod(pods.IS_READY)

    assert (pod.ready, pod.finished, pod.problem) == (True, False, None)
    assert (pod.key, pod.session, pod.generation) == (("voice", "call-1"), ("voice", "call"), 2)
    assert (pod.agent, pod.template_hash, pod.claimed) == (("voice", "desk"), "", None)
    assert (pod.ip, pod.node, pod.created, pod.placed) == ("10.0.0.1", "node-1", at(0), at(1))
    assert pod.version == 4711


def test_a_pod_that_no_node_takes_has_no_place() -> None:
    assert parse_pod(pods.UNSCHEDULABLE).placed is None
    nominated = pods.UNSCHEDULABLE["status"] | {"nominatedNodeName": "node-1"}
    assert parse_pod(pods.UNSCHEDULABLE | {"status": nominated}).placed == at(1)
    assert parse_pod(pods.NEW).placed is None


@pytest.mark.parametrize("raw", [pods.CRASHED, pods.KILLED, pods.EVICTED, pods.COMPLETED])
def test_a_pod_whose_agent_has_ended_will_never_be_ready(raw: dict[str, Any]) -> None:
    # The kubelet's Ready may lag behind the end of the container.
    ready = copy.deepcopy(raw)
    ready["status"]["conditions"] = pods.READY_

    pod = parse_pod(ready)

    assert (pod.finished, pod.ready) == (True, False)
    assert pod.problem is not None


@pytest.mark.parametrize("raw", [pods.NEW, pods.PULLING, pods.RUNS, pods.CRASH_LOOPING_SIDECAR])
def test_a_pod_that_may_still_start_has_not_ended(raw: dict[str, Any]) -> None:
    assert not parse_pod(raw).finished


def test_a_pod_that_another_container_left_is_not_over() -> None:
    raw = copy.deepcopy(pods.IS_READY)
    helper = pods.container("helper", pods.terminated(0, "Completed"))
    raw["status"]["containerStatuses"].append(helper)

    assert not parse_pod(raw).finished


def test_a_pod_that_is_being_deleted_says_so() -> None:
    raw = copy.deepcopy(pods.IS_READY)
    raw["metadata"]["deletionTimestamp"] = "2026-01-01T12:05:00Z"

    assert parse_pod(raw).deleting
    assert not parse_pod(pods.IS_READY).deleting


def test_a_crash_without_words_says_that_there_are_none() -> None:
    raw = pods.pod("Running", [pods.container("agent", pods.terminated(3, ""))], pods.NOT_READY)

    problem = parse_pod(raw).problem

    assert problem is not None
    assert problem.message.endswith("exited with code 3: it said nothing")


def test_long_last_words_keep_their_end_where_the_error_stands() -> None:
    words = "line\n" * 1000 + "KeyError: 'OPENAI_API_KEY'"
    raw = pods.pod(
        "Running", [pods.container("agent", pods.terminated(1, "Error", words))], pods.NOT_READY
    )

    problem = parse_pod(raw).problem

    assert problem is not None
    assert problem.message.endswith("KeyError: 'OPENAI_API_KEY'")
    assert len(problem.message) < 1200


def test_a_new_session_is_pending() -> None:
    session = parse_session(SESSION)

    assert (session.key, session.uid, session.version) == (("voice", "call"), "session-uid", 42)
    assert session.created == at(0)
    assert (session.spec.agent_ref.name, session.spec.room) == ("desk", "a room")
    assert session.room_changed == "EV_1"
    assert (session.deleting, session.status.phase) == (False, Phase.PENDING)


def test_a_session_that_goes_on_is_read_with_its_ledger() -> None:
    raw = {
        **SESSION,
        "status": {
            "phase": "Reconnecting",
            "reason": "CallerAway",
            "pod": "call-1",
            "generation": 1,
            "times": {"received": "2026-01-01T12:00:00.250Z", "left": "2026-01-01T12:01:00.000Z"},
            "conditions": [
                {
                    "type": "Active",
                    "status": "True",
                    "reason": "CallerAway",
                    "message": "",
                    "lastTransitionTime": "2026-01-01T12:00:03.000Z",
                }
            ],
        },
    }

    status = parse_session(raw).status

    assert (status.phase, status.reason) == (Phase.RECONNECTING, Reason.CALLER_AWAY)
    assert (status.times.received, status.times.left) == (at(0.25), at(60))
    assert status.to_yaml()["times"] == raw["status"]["times"]
    assert status.conditions[0].last_transition_time == at(3)


def test_a_session_that_is_being_deleted_says_so() -> None:
    metadata = {**SESSION["metadata"], "deletionTimestamp": "2026-01-01T12:05:00Z"}

    assert parse_session({**SESSION, "metadata": metadata}).deleting


def test_an_agent_is_read_with_the_defaults_that_the_api_server_has_not_filled_in() -> None:
    raw = {
        "metadata": {"name": "desk", "namespace": "voice", "uid": "u", "resourceVersion": "7"},
        "spec": {
            "livekit": {"url": "ws://livekit:7880", "credentialsSecretRef": {"name": "keys"}},
            "template": {"spec": {"containers": [{"name": "agent", "image": "desk"}]}},
        },
    }

    agent = parse_agent(raw)

    assert (agent.key, agent.version, agent.generation) == (("voice", "desk"), 7, 1)
    assert agent.spec.lifecycle.seconds("start_deadline") == 60
    assert agent.status.conditions == []


def test_a_warm_pod_is_its_agents_and_no_sessions() -> None:
    raw = copy.deepcopy(pods.IS_READY)
    raw["metadata"]["labels"] = {"voicepod.dev/agent": "desk"}
    raw["metadata"]["ownerReferences"] = [{"kind": "VoiceAgent", "name": "desk", "uid": "desk-uid"}]
    raw["metadata"]["annotations"] = {"voicepod.dev/template-hash": "0123"}
    pod = parse_pod(raw)

    assert (pod.agent, pod.session, pod.template_hash) == (("voice", "desk"), None, "0123")


def test_a_claimed_pod_says_when() -> None:
    raw = copy.deepcopy(pods.IS_READY)
    raw["metadata"]["annotations"]["voicepod.dev/claimed"] = "2026-01-01T12:00:30.250Z"

    assert parse_pod(raw).claimed == datetime(2026, 1, 1, 12, 0, 30, 250000, tzinfo=UTC)
