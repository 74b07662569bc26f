"""The warm pod, and what a claim makes of it."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given

from tests.support.fake_kube import merged
from tests.unit.builders.test_pod import KEYS, OWNER, REDIS, RICH, SIDECAR, SMALL, built, templates
from voicepod.api.agent import CheckpointStore
from voicepod.builders.pod import PodKeys, Sidecar
from voicepod.builders.warm import WarmOwner, build_warm_pod, claim_patch, hashed

pytestmark = pytest.mark.unit

DESK = WarmOwner("voice", "desk", "desk-uid")
NOON = datetime(2026, 1, 1, 12, 0, 0, 250000, tzinfo=UTC)
HASH = "voicepod.dev/template-hash"


def warm(template: dict[str, Any], owner: WarmOwner = DESK, keys: PodKeys = KEYS) -> dict[str, Any]:
    return build_warm_pod(hashed(template, None, 10, SIDECAR), owner, 10, SIDECAR, keys)


def hash_of(
    template: dict[str, Any],
    store: CheckpointStore | None = None,
    grace: float = 10,
    sidecar: Sidecar = SIDECAR,
) -> str:
    return hashed(template, store, grace, sidecar).hash


@given(templates())
def test_a_warm_pod_runs_what_a_sessions_own_pod_runs(template: dict[str, Any]) -> None:
    assert warm(template)["spec"] == built(template)["spec"]


def test_a_warm_pod_is_its_agents_and_no_sessions() -> None:
    metadata = warm(SMALL)["metadata"]

    assert (metadata["generateName"], metadata["namespace"]) == ("desk-", "voice")
    assert "name" not in metadata
    assert metadata["labels"]["voicepod.dev/agent"] == "desk"
    assert "voicepod.dev/session" not in metadata["labels"]
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "VoiceAgent",
        "desk",
        "desk-uid",
        True,
    )


def test_a_waiting_pod_may_be_evicted_whatever_the_template_says() -> None:
    template = copy.deepcopy(RICH)
    template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] = "true"
    annotations = warm(template)["metadata"]["annotations"]

    assert "karpenter.sh/do-not-disrupt" not in annotations
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "true"
    assert annotations["note"] == "ours"


def test_the_name_of_the_longest_agent_leaves_room_for_what_is_generated() -> None:
    owner = WarmOwner("voice", "d" * 63, "desk-uid")
    metadata = warm(SMALL, owner)["metadata"]

    assert len(metadata["generateName"]) + 5 == 63


@given(templates())
def test_the_hash_is_the_templates_and_no_pods(template: dict[str, Any]) -> None:
    other = warm(template, keys=PodKeys("other", "keys"))

    assert warm(template)["metadata"]["annotations"][HASH] == hash_of(template)
    assert other["metadata"]["annotations"][HASH] == hash_of(template)


def test_the_hash_does_not_hang_on_the_order_of_fields() -> None:
    turned = {"spec": dict(reversed(RICH["spec"].items())), "metadata": RICH["metadata"]}

    assert hash_of(turned) == hash_of(RICH)


def test_the_hash_changes_with_everything_that_a_pod_is_made_of() -> None:
    labelled = {**SMALL, "metadata": {"labels": {"team": "desk"}}}
    newer = Sidecar("voicepod/operator:2", SIDECAR.operator_url, SIDECAR.public_key)
    hashes = {
        hash_of(SMALL),
        hash_of(RICH),
        hash_of(labelled),
        hash_of(SMALL, grace=20),
        hash_of(SMALL, sidecar=newer),
        hash_of(SMALL, REDIS),
        hash_of(SMALL, REDIS.model_copy(update={"ttl": "1h"})),
    }

    assert len(hashes) == 7


@given(templates())
def test_a_claimed_pod_is_what_its_session_would_have_started(template: dict[str, Any]) -> None:
    claimed = merged(warm(template), claim_patch("pod-uid", 7, OWNER, 1, NOON))["metadata"]
    own = built(template)["metadata"]
    own["annotations"].pop(HASH)

    assert claimed["labels"] == own["labels"]
    assert claimed["ownerReferences"] == own["ownerReferences"]
    assert own["annotations"].items() <= claimed["annotations"].items()
    assert claimed["annotations"]["voicepod.dev/claimed"] == "2026-01-01T12:00:00.250Z"


def test_a_claim_names_the_pod_that_it_saw() -> None:
    metadata = claim_patch("pod-uid", 7, OWNER, 1, NOON)["metadata"]

    assert (metadata["uid"], metadata["resourceVersion"]) == ("pod-uid", "7")


def test_of_a_claimed_pod_no_account_is_kept_of_who_set_which_field() -> None:
    # An empty list would leave it as it is.
    assert claim_patch("pod-uid", 7, OWNER, 1, NOON)["metadata"]["managedFields"] == [{}]
