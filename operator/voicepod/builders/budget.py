"""The PodDisruptionBudget of a VoiceAgent: no eviction ends a live call."""

from typing import Final

from voicepod.api.names import LABEL_AGENT, LABEL_MANAGED_BY, LABEL_SESSION, MANAGED_BY
from voicepod.builders.pod import Manifest, owned_by

# The largest number that the field holds: there are never enough pods for one to be evicted. A
# percentage would do if their owners had a scale, which VoiceSessions have not.
_ALL: Final = 2**31 - 1


def build_budget(namespace: str, agent: str, uid: str) -> Manifest:
    """Return the manifest of the budget that guards an agent's pods with a call.

    Pods that wait for one are not among them, and may be evicted at any time.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": f"{agent}-calls",
            "namespace": namespace,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_AGENT: agent},
            "ownerReferences": [owned_by("VoiceAgent", agent, uid)],
        },
        "spec": {
            "minAvailable": _ALL,
            "selector": {
                "matchLabels": {LABEL_AGENT: agent},
                "matchExpressions": [{"key": LABEL_SESSION, "operator": "Exists"}],
            },
        },
    }
