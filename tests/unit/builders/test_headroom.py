"""Placeholders: as large as the agent's pod, wherever that could be, and doing nothing there."""

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given

from tests.unit.builders.test_pod import GOLDEN, RICH, SIDECAR, SMALL, built, templates
from tests.unit.builders.test_warm import DESK
from voicepod.api.names import LABEL_AGENT, LABEL_HEADROOM, LABEL_MANAGED_BY
from voicepod.builders.headroom import build_headroom
from voicepod.builders.pod import Sidecar, Template

pytestmark = pytest.mark.unit

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def deployment(
    template: dict[str, Any], pods: int = 3, sidecar: Sidecar = SIDECAR
) -> dict[str, Any]:
    return build_headroom(Template(template, "hash"), DESK, pods, sidecar)


def spec_of(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = deployment(template)["spec"]["template"]["spec"]
    return found


def hash_of(template: dict[str, Any], pods: int = 3, sidecar: Sidecar = SIDECAR) -> str:
    annotations = deployment(template, pods, sidecar)["metadata"]["annotations"]
    return str(annotations["voicepod.dev/template-hash"])


def with_spec(**fields: Any) -> dict[str, Any]:
    return {"spec": {**copy.deepcopy(SMALL["spec"]), **fields}}


def test_the_placeholders_of_a_template_are_the_golden_ones() -> None:
    golden = yaml.safe_load((GOLDEN / "headroom.yaml").read_text())

    assert deployment(RICH) == golden


@given(templates())
def test_placeholders_ask_for_what_the_agents_pod_asks_for(template: dict[str, Any]) -> None:
    agent, placeholder = built(template)["spec"], spec_of(template)

    def asked(spec: dict[str, Any], part: str) -> list[tuple[Any, ...]]:
        return [
            (one["name"], one.get("restartPolicy"), one.get("resources", {})) for one in spec[part]
        ]

    for part in ("initContainers", "containers"):
        assert asked(placeholder, part) == asked(agent, part)


@given(templates())
def test_placeholders_run_nothing_of_the_template_and_meet_the_restricted_standard(
    template: dict[str, Any],
) -> None:
    spec = spec_of(template)

    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["image"] == SIDECAR.image
        assert not {"env", "lifecycle", "volumeMounts"} & set(container)
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_placeholders_are_never_taken_for_agent_pods_nor_for_their_company() -> None:
    labels = deployment(RICH)["spec"]["template"]["metadata"]["labels"]

    assert labels == {LABEL_HEADROOM: "desk"}
    assert not {LABEL_AGENT, LABEL_MANAGED_BY} & set(labels)


def test_a_container_that_ends_before_the_others_begin_does_so_here_too() -> None:
    first = [{"name": "first", "image": "x"}, {"name": "proxy", "restartPolicy": "Always"}]
    commands = {
        one["name"]: one["command"]
        for one in spec_of(with_spec(initContainers=first))["initContainers"]
    }

    assert commands == {
        "voicepod": ["sleep", "infinity"],
        "first": ["true"],
        "proxy": ["sleep", "infinity"],
    }


def test_placeholders_can_be_where_an_agent_can_be_and_do_not_seek_its_company() -> None:
    zone = [{"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}}]
    nodes = {REQUIRED: {"nodeSelectorTerms": []}, PREFERRED: []}
    affinity = {
        "nodeAffinity": nodes,
        "podAffinity": {REQUIRED: zone, PREFERRED: [{"weight": 100, "podAffinityTerm": {}}]},
        "podAntiAffinity": {PREFERRED: []},
    }
    placed = {
        "nodeSelector": {"pool": "voice"},
        "tolerations": [{"key": "voice"}],
        "topologySpreadConstraints": [{"maxSkew": 1}],
        "runtimeClassName": "gvisor",
        "schedulerName": "ours",
    }
    spec = spec_of(with_spec(affinity=affinity, **placed))

    assert spec["affinity"] == {**affinity, "podAffinity": {REQUIRED: zone}}
    assert placed.items() <= spec.items()


def test_a_preferred_company_alone_leaves_nothing_to_be_said() -> None:
    company = {"podAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": {}}]}}

    assert "affinity" not in spec_of(with_spec(affinity=company))


def test_the_hash_changes_with_what_placeholders_are_made_of_and_with_nothing_else() -> None:
    larger = copy.deepcopy(SMALL)
    larger["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "2"}}
    newer = Sidecar("voicepod/operator:2", SIDECAR.operator_url, SIDECAR.public_key)
    told = copy.deepcopy(SMALL)
    told["spec"]["containers"][0]["env"] = [{"name": "MODEL", "value": "another"}]

    assert hash_of(told) == hash_of(SMALL)
    hashes = {hash_of(SMALL), hash_of(larger), hash_of(SMALL, 4), hash_of(SMALL, 3, newer)}
    assert len(hashes) == 4
