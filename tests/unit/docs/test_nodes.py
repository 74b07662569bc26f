"""The manifests of docs/nodes: what they say fits together, and fits what the operator does."""

from typing import Any, Final

import pytest
import yaml

from local.layout import REPOSITORY
from tests.unit.builders.test_headroom import deployment
from tests.unit.builders.test_pod import SMALL
from voicepod.api.crd import headroom_priority
from voicepod.api.durations import seconds
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.names import LABEL_MANAGED_BY, MANAGED_BY

pytestmark = pytest.mark.unit

FOLDER: Final = REPOSITORY / "docs" / "nodes"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((FOLDER / f"{name}.yaml").read_text()))


(NODE_POOL,) = documents("karpenter")
(AUTOSCALER,) = documents("cluster-autoscaler")
(TEMPLATE,) = documents("template")

NODES: Final = NODE_POOL["spec"]["template"]
AGENTS: Final = TEMPLATE["spec"]["template"]["spec"]
PLACEHOLDER: Final = deployment({"spec": SMALL["spec"] | AGENTS})["spec"]["template"]["spec"]


@pytest.mark.parametrize("pods", [AGENTS, PLACEHOLDER], ids=["agents", "placeholders"])
def test_pods_go_to_the_nodes_that_are_for_them_and_only_there(pods: Any) -> None:
    assert pods["nodeSelector"].items() <= NODES["metadata"]["labels"].items()
    tolerated = {(one["key"], one["effect"]) for one in pods["tolerations"]}
    assert tolerated == {(taint["key"], taint["effect"]) for taint in NODES["spec"]["taints"]}


def test_karpenter_gives_the_longest_call_its_time() -> None:
    lifecycle = Lifecycle()
    longest = sum(
        lifecycle.seconds(part) for part in ("start_deadline", "max_duration", "shutdown_grace")
    )

    assert seconds(NODES["spec"]["terminationGracePeriod"]) > longest


def test_no_node_goes_by_itself() -> None:
    capacity = {one["key"]: one["values"] for one in NODES["spec"]["requirements"]}

    assert capacity["karpenter.sh/capacity-type"] == ["on-demand"]


def test_a_node_without_calls_may_go_though_pods_wait_on_it() -> None:
    assert NODE_POOL["spec"]["disruption"]["consolidationPolicy"] == "WhenEmptyOrUnderutilized"
    assert AUTOSCALER["extraArgs"]["scale-down-utilization-threshold"] > 0.5


def test_both_autoscalers_leave_a_node_that_is_not_needed_for_as_long() -> None:
    after = NODE_POOL["spec"]["disruption"]["consolidateAfter"]

    assert AUTOSCALER["extraArgs"]["scale-down-unneeded-time"] == after


def test_placeholders_give_way_to_agents_and_still_bring_nodes() -> None:
    cutoff = AUTOSCALER["extraArgs"]["expendable-pods-priority-cutoff"]

    assert "priorityClassName" not in AGENTS, "agents have 0 then"
    assert cutoff <= headroom_priority()["value"] < 0


def test_placeholders_do_not_seek_the_company_of_agents() -> None:
    assert "affinity" in AGENTS
    assert "affinity" not in PLACEHOLDER


def test_agents_seek_the_company_of_agents() -> None:
    (preferred,) = AGENTS["affinity"]["podAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]

    assert preferred["podAffinityTerm"]["labelSelector"]["matchLabels"] == {
        LABEL_MANAGED_BY: MANAGED_BY
    }


@pytest.mark.parametrize("name", [path.name for path in FOLDER.iterdir()])
def test_the_page_leads_to_every_manifest(name: str) -> None:
    assert f"](nodes/{name})" in (REPOSITORY / "docs" / "nodes.md").read_text()
