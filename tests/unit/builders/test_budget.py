"""What keeps a drain from ending calls."""

import pytest

from voicepod.builders.budget import build_budget

pytestmark = pytest.mark.unit


def test_a_budget_guards_the_agents_pods_with_a_call_and_no_others() -> None:
    budget = build_budget("voice", "desk", "desk-uid")

    assert (budget["metadata"]["name"], budget["metadata"]["namespace"]) == ("desk-calls", "voice")
    assert budget["spec"]["selector"] == {
        "matchLabels": {"voicepod.dev/agent": "desk"},
        "matchExpressions": [{"key": "voicepod.dev/session", "operator": "Exists"}],
    }
    (owner,) = budget["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("VoiceAgent", "desk-uid")
