"""What operator, gateway and test may do, and where."""

from typing import Any

import pytest

from tests.unit.chart.helm import Object, Objects, render
from voicepod.api.names import BUDGET

pytestmark = pytest.mark.unit

SECRETS: Object = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}

LEASES: Object = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}

OPERATOR: list[Object] = [
    {
        "apiGroups": ["voicepod.dev"],
        "resources": ["voiceagents"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["voicepod.dev"],
        "resources": ["voicesessions"],
        "verbs": ["get", "list", "watch", "delete"],
    },
    {
        "apiGroups": ["voicepod.dev"],
        "resources": ["voiceagents/status", "voicesessions/status"],
        "verbs": ["patch"],
    },
    {
        "apiGroups": [""],
        "resources": ["pods"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["create"]},
    {
        "apiGroups": ["policy"],
        "resources": ["poddisruptionbudgets"],
        "resourceNames": [BUDGET],
        "verbs": ["get", "delete"],
    },
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["get", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]

GATEWAY: list[Object] = [
    {
        "apiGroups": ["voicepod.dev"],
        "resources": ["voiceagents"],
        "verbs": ["get", "list", "watch"],
    },
    {
        "apiGroups": ["voicepod.dev"],
        "resources": ["voicesessions"],
        "verbs": ["get", "list", "watch", "create", "patch"],
    },
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]

RULES = {"operator": OPERATOR, "gateway": GATEWAY}


def binding_of(objects: Objects, role: Object) -> Object:
    metadata = role["metadata"]
    binding = objects.one(f"{role['kind']}Binding", metadata["name"], metadata.get("namespace"))
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) == (
        role["kind"],
        metadata["name"],
    )
    return binding


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_without_namespaces_the_rights_are_the_cluster_s(component: str) -> None:
    objects = render()
    role = objects.one("ClusterRole", f"voicepod-{component}", namespace=None)
    assert role["rules"] == [*RULES[component], SECRETS]
    assert binding_of(objects, role)["subjects"] == [
        {
            "kind": "ServiceAccount",
            "name": f"voicepod-{component}",
            "namespace": "voicepod-system",
        }
    ]


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_with_namespaces_the_rights_end_there(component: str) -> None:
    objects = render(watchNamespaces=["voice", "sales"], operator={"watchNodes": False})
    for namespace in ("voice", "sales"):
        role = objects.one("Role", f"voicepod-{component}", namespace)
        assert role["rules"] == [*RULES[component], SECRETS]
        (subject,) = binding_of(objects, role)["subjects"]
        assert (subject["name"], subject["namespace"]) == (
            f"voicepod-{component}",
            "voicepod-system",
        )
    assert "ClusterRoleBinding" not in objects.kinds()


@pytest.mark.parametrize("component", ["operator", "gateway"])
def test_only_the_named_secrets_can_be_read(component: str) -> None:
    objects = render(watchNamespaces=["voice"], livekit={"secretNames": ["livekit"]})
    role = objects.one("Role", f"voicepod-{component}", "voice")
    assert role["rules"][-1] == {**SECRETS, "resourceNames": ["livekit"]}


def test_the_operator_has_rights_to_its_own_key_and_lease_and_to_no_others_there() -> None:
    objects = render(watchNamespaces=["voice"])
    (role,) = [
        role for role in objects.of("Role") if role["metadata"]["namespace"] == "voicepod-system"
    ]
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
        {**SECRETS, "resourceNames": ["voicepod-signing-key"]},
        {**LEASES, "verbs": ["create"]},
        {**LEASES, "verbs": ["get", "patch"], "resourceNames": ["voicepod-operator"]},
    ]
    (subject,) = binding_of(objects, role)["subjects"]
    assert subject["name"] == "voicepod-operator"


def test_the_operator_s_own_namespace_can_be_one_of_those_it_watches() -> None:
    objects = render(watchNamespaces=["voicepod-system"])
    assert {role["metadata"]["name"] for role in objects.of("Role")} == {
        "voicepod-operator",
        "voicepod-operator-own",
        "voicepod-gateway",
    }


def everything_granted(**values: Any) -> list[Object]:
    objects = render(**values)
    return [
        rule for role in objects.of("Role") + objects.of("ClusterRole") for rule in role["rules"]
    ]


def test_nobody_can_list_secrets_and_nothing_is_granted_by_a_star() -> None:
    for rule in everything_granted(test={"agent": "hello", "namespace": "voice"}):
        assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"]
        if "secrets" in rule["resources"]:
            assert not {"list", "watch"} & set(rule["verbs"])


@pytest.mark.parametrize("namespaces", [[], ["voice"]])
def test_nodes_can_be_seen_and_not_changed(namespaces: list[str]) -> None:
    objects = render(watchNamespaces=namespaces)
    role = objects.one("ClusterRole", "voicepod-operator-nodes", namespace=None)
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]}
    ]
    (subject,) = binding_of(objects, role)["subjects"]
    assert (subject["name"], subject["namespace"]) == ("voicepod-operator", "voicepod-system")


def test_a_release_with_namespaces_and_without_crds_and_nodes_needs_no_right_to_the_cluster() -> (
    None
):
    objects = render(
        watchNamespaces=["voice"], crds={"enabled": False}, operator={"watchNodes": False}
    )
    assert all(found["metadata"].get("namespace") for found in objects)


def test_the_test_has_rights_only_where_it_makes_a_session() -> None:
    def roles(**values: Any) -> list[tuple[str, str]]:
        return [
            (role["metadata"]["namespace"], binding_of(objects, role)["subjects"][0]["name"])
            for objects in [render(**values)]
            for role in objects.of("Role")
            if role["metadata"]["name"] == "voicepod-test"
        ]

    assert roles() == []
    assert roles(test={"agent": "hello", "namespace": "voice"}) == [("voice", "voicepod-test")]


def test_who_edits_a_namespace_may_edit_its_agents() -> None:
    objects = render()
    for role, verb in (("view", "watch"), ("edit", "create")):
        found = objects.one("ClusterRole", f"voicepod-{role}", namespace=None)
        aggregate = f"rbac.authorization.k8s.io/aggregate-to-{role}"
        assert found["metadata"]["labels"][aggregate] == "true"
        (rule,) = found["rules"]
        assert rule["resources"] == ["voiceagents", "voicesessions"]
        assert verb in rule["verbs"]


def test_the_chart_holds_no_secret() -> None:
    # The webhook's and LiveKit's keys are in Secrets that VoiceAgents name.
    assert "Secret" not in render().kinds()


def test_releases_that_share_the_namespaces_of_a_cluster_have_no_object_in_common() -> None:
    one = render(fullnameOverride="one", watchNamespaces=["voice"])
    two = render(fullnameOverride="two", watchNamespaces=["sales"], crds={"enabled": False})
    assert not {place(found) for found in one} & {place(found) for found in two}


def place(found: Object) -> tuple[str, str | None, str]:
    metadata = found["metadata"]
    return found["kind"], metadata.get("namespace"), metadata["name"]
