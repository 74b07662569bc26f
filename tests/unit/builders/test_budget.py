"""What keeps a drain from ending calls."""

import pytest

from voicepod.builders.budget import build_budget

pytestmark = pytest.mark.unit


def test_a_budget_guards_all_pods_with_a_call_and_no_others() -> None:
    budget = build_budget("voice")

    metadata = budget["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("voicepod-live-calls", "voice")
    assert budget["spec"]["selector"] == {
        "matchExpressions": [
            {"key": "voicepod.dev/agent", "operator": "Exists"},
            {"key": "voicepod.dev/session", "operator": "Exists"},
        ]
    }
    # More pods than there can ever be must stay, and so each of them.
    assert budget["spec"]["minAvailable"] == 2**31 - 1
