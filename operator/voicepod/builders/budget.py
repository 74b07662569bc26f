"""The PodDisruptionBudget that keeps evictions, and so drains, from ending live calls."""

from typing import Final

from voicepod.api.names import BUDGET, LABEL_AGENT, LABEL_MANAGED_BY, LABEL_SESSION, MANAGED_BY
from voicepod.builders.pod import Manifest

# The largest number that the field holds: there are never enough pods for one to be evicted. A
# percentage would do if the pods' owners had a scale, which VoiceSessions have not.
_ALL: Final = 2**31 - 1


def build_budget(namespace: str) -> Manifest:
    """Return the manifest of the budget that guards all pods with a call in a namespace.

    Pods that wait for one are not among them, and may be evicted at any time.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": BUDGET,
            "namespace": namespace,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY},
        },
        "spec": {
            "minAvailable": _ALL,
            "selector": {
                "matchExpressions": [
                    {"key": label, "operator": "Exists"} for label in (LABEL_AGENT, LABEL_SESSION)
                ]
            },
        },
    }
