"""The agent pod, from the smallest and from a rich template."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from voicepod.api.agent import CheckpointStore, SecretRef
from voicepod.builders.pod import Owner, PodKeys, Sidecar, Template, build_pod

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"

SIDECAR = Sidecar("voicepod/operator:1", "http://operator.voicepod-system.svc:9551", "cHVibGlj")
KEYS = PodKeys("a-secret-of-this-pod", "a-stop-key")
REDIS = CheckpointStore(redis_secret_ref=SecretRef(name="redis-url"), ttl="30m")
OWNER = Owner("voice", "call", "session-uid", "desk", "Straße 1/✨")

SMALL: dict[str, Any] = {"spec": {"containers": [{"name": "agent", "image": "desk"}]}}
RICH: dict[str, Any] = {
    "metadata": {
        "labels": {"team": "desk", "voicepod.dev/session": "somebody-else"},
        "annotations": {"note": "ours", "karpenter.sh/do-not-disrupt": "false"},
    },
    "spec": {
        "restartPolicy": "Always",
        "serviceAccountName": "desk",
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 1,
        "nodeSelector": {"pool": "voice"},
        "tolerations": [{"key": "voice", "operator": "Exists"}],
        "securityContext": {"runAsUser": 1234, "fsGroup": 5678},
        "initContainers": [{"name": "models", "image": "models"}],
        "containers": [
            {
                "name": "agent",
                "image": "desk",
                "env": [
                    {"name": "LIVEKIT_URL", "value": "wss://elsewhere"},
                    {
                        "name": "LIVEKIT_API_SECRET",
                        "valueFrom": {"secretKeyRef": {"name": "keys", "key": "secret"}},
                    },
                    {"name": "NUM_CPUS", "value": "2"},
                    {"name": "OPENAI_API_KEY", "value": "theirs"},
                ],
                "lifecycle": {"preStop": {"exec": {"command": ["goodbye"]}}},
                "terminationMessagePolicy": "File",
                "securityContext": {"runAsUser": 4321, "capabilities": {"drop": ["NET_RAW"]}},
                "resources": {"requests": {"cpu": "1"}},
            },
            {"name": "helper", "image": "helper", "env": [{"name": "A", "value": "b"}]},
        ],
    },
}

names = st.sampled_from(["LIVEKIT_URL", "LIVEKIT_API_KEY", "NUM_CPUS", "OTHER", "PATH"])
environments = st.lists(st.fixed_dictionaries({"name": names, "value": st.text(max_size=3)}))
containers = st.fixed_dictionaries(
    {"image": st.just("image")},
    optional={
        "env": st.none() | environments,
        "securityContext": st.none() | st.just({"runAsUser": 7}),
        "lifecycle": st.none() | st.just({}),
        "resources": st.just({"limits": {"cpu": "1"}}),
    },
)


@st.composite
def templates(draw: st.DrawFn) -> dict[str, Any]:
    helpers = draw(st.lists(containers, max_size=2))
    spec = {
        "containers": [
            {"name": "agent", **draw(containers)},
            *({"name": f"helper-{n}", **helper} for n, helper in enumerate(helpers)),
        ],
        "initContainers": draw(st.none() | st.just([{"name": "first", "image": "first"}])),
        "securityContext": draw(st.none() | st.just({"fsGroup": 5})),
    }
    labels = st.none() | st.just({"team": "desk"})
    metadata = {"labels": draw(labels), "annotations": draw(labels)}
    return {"metadata": draw(st.none() | st.just(metadata)), "spec": spec}


def built(
    template: dict[str, Any],
    generation: int = 1,
    grace: float = 10,
    store: CheckpointStore | None = None,
) -> dict[str, Any]:
    return build_pod(Template(template, "hash", store), OWNER, generation, grace, SIDECAR, KEYS)


def agent_of(pod: dict[str, Any]) -> dict[str, Any]:
    (agent,) = [one for one in pod["spec"]["containers"] if one["name"] == "agent"]
    found: dict[str, Any] = agent
    return found


def environment_of(container: dict[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value") for entry in container["env"]}


@pytest.mark.parametrize(
    ("name", "template", "store"), [("small", SMALL, None), ("rich", RICH, REDIS)]
)
def test_the_pod_of_a_template_is_the_golden_one(
    name: str, template: dict[str, Any], store: CheckpointStore | None
) -> None:
    golden = yaml.safe_load((GOLDEN / f"{name}.yaml").read_text())

    assert built(template, store=store) == golden


@given(templates())
def test_no_container_but_the_sidecar_gets_the_url_of_redis(template: dict[str, Any]) -> None:
    spec = built(template, store=REDIS)["spec"]

    assert "redis-url" in str(spec["initContainers"][0])
    assert "redis-url" not in str([*spec["initContainers"][1:], *spec["containers"]])


@given(templates())
def test_every_pod_meets_the_restricted_standard_where_the_template_says_nothing_else(
    template: dict[str, Any],
) -> None:
    spec = built(template)["spec"]

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@given(templates())
def test_no_pod_has_a_token_of_the_cluster(template: dict[str, Any]) -> None:
    template["spec"]["automountServiceAccountToken"] = True
    spec = built(template)["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False


@given(templates())
def test_the_agent_finds_the_sidecar_and_nobody_else(template: dict[str, Any]) -> None:
    agent = agent_of(built(template))

    environment = environment_of(agent)
    assert environment["LIVEKIT_URL"] == "ws://127.0.0.1:7880"
    assert environment["LIVEKIT_API_KEY"] == "voicepod"
    assert environment["LIVEKIT_API_SECRET"] == KEYS.api_secret
    forced = [entry for entry in agent["env"] if entry["name"].startswith("LIVEKIT_API_")]
    assert len(forced) == 2
    assert all("valueFrom" not in entry for entry in forced)


@given(templates())
def test_other_containers_learn_neither_key(template: dict[str, Any]) -> None:
    others = [one for one in built(template)["spec"]["containers"] if one["name"] != "agent"]

    assert all(KEYS.api_secret not in str(one) for one in others)
    assert all(KEYS.stop_key not in str(one) for one in others)


@given(templates())
def test_the_template_itself_stays_as_it_is(template: dict[str, Any]) -> None:
    before = copy.deepcopy(template)
    built(template)

    assert template == before


@given(templates())
def test_a_pod_has_no_nulls(template: dict[str, Any]) -> None:
    assert "null" not in yaml.safe_dump(built(template)).split()


def test_the_sidecar_is_up_before_everything_else_and_goes_after_it() -> None:
    first, *others = built(RICH)["spec"]["initContainers"]

    assert (first["name"], first["restartPolicy"]) == ("voicepod", "Always")
    assert first["securityContext"]["readOnlyRootFilesystem"] is True
    assert [one["name"] for one in others] == ["models"]


def test_what_the_user_sets_for_the_agent_stays() -> None:
    agent = agent_of(built(RICH))

    environment = environment_of(agent)
    assert (environment["NUM_CPUS"], environment["OPENAI_API_KEY"]) == ("2", "theirs")
    assert environment["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] == "0"
    assert agent["lifecycle"] == {"preStop": {"exec": {"command": ["goodbye"]}}}
    assert agent["terminationMessagePolicy"] == "File"
    assert agent["securityContext"]["runAsUser"] == 4321
    assert agent["securityContext"]["capabilities"] == {"drop": ["NET_RAW"]}
    assert agent["resources"] == {"requests": {"cpu": "1"}}


def test_what_the_user_sets_for_the_pod_stays() -> None:
    spec = built(RICH)["spec"]

    assert spec["securityContext"]["runAsUser"] == 1234
    assert spec["securityContext"]["fsGroup"] == 5678
    assert (spec["nodeSelector"], spec["serviceAccountName"]) == ({"pool": "voice"}, "desk")


def test_a_pod_that_is_stopped_says_goodbye_through_its_sidecar() -> None:
    hook = agent_of(built(SMALL))["lifecycle"]["preStop"]["httpGet"]

    assert (hook["path"], hook["port"]) == ("/stopping", 9550)
    assert hook["httpHeaders"] == [{"name": "Authorization", "value": "Bearer a-stop-key"}]


@pytest.mark.parametrize(("grace", "seconds"), [(0, 10), (0.5, 11), (10, 20), (600, 610)])
def test_the_kubelet_waits_longer_than_the_goodbye_takes(grace: float, seconds: int) -> None:
    assert built(RICH, grace=grace)["spec"]["terminationGracePeriodSeconds"] == seconds


def test_the_operator_finds_its_pods_whatever_the_template_says() -> None:
    metadata = built(RICH, generation=3)["metadata"]

    assert metadata["name"] == "call-3"
    assert metadata["labels"] == {
        "team": "desk",
        "app.kubernetes.io/managed-by": "voicepod",
        "voicepod.dev/agent": "desk",
        "voicepod.dev/session": "call",
    }
    assert metadata["annotations"]["voicepod.dev/generation"] == "3"
    assert metadata["annotations"]["voicepod.dev/room"] == "Straße 1/✨"
    assert metadata["annotations"]["note"] == "ours"
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == (
        "VoiceSession",
        "session-uid",
        True,
    )


def test_node_autoscalers_leave_a_live_call_alone() -> None:
    annotations = built(RICH)["metadata"]["annotations"]

    assert annotations["karpenter.sh/do-not-disrupt"] == "true"
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_an_environment_that_is_not_valid_is_left_to_the_api_server_to_refuse() -> None:
    agent = {"name": "agent", "env": [{"value": "of nothing"}]}

    assert {"value": "of nothing"} in agent_of(built({"spec": {"containers": [agent]}}))["env"]
