"""Days that can be planned."""

from typing import Any, Final

from voicepod.plan.inputs import Calls, Inputs, Node, Shared, Size

OFFICE: Final = (
    *(2.0, 1, 1, 1, 2, 5, 15, 40, 80, 100, 100, 95),
    *(85.0, 90, 95, 95, 85, 70, 50, 35, 25, 15, 8, 4),
)
"""Calls of each hour of a day with a busy morning and a quiet night."""


def inputs(hourly: tuple[float, ...] = OFFICE, **changes: Any) -> Inputs:
    """A day on nodes that have room for a number of ``places``."""
    talking, places = changes.pop("talking", 240.0), changes.pop("places", 10)
    node: dict[str, Any] = {"price": 0.2, "start": 60.0, "idle": 600.0} | changes.pop("node", {})
    values: dict[str, Any] = {
        "calls": Calls(tuple(hourly), talking, 12.0),
        # With the sidecar it is a tenth of a core.
        "pod": Size(0.09, 160 * 2**20),
        "pod_start": 5.0,
        "pool_min": 1,
        "node": Node(Size(places / 10, 2**40), 110, **node),
        "shared": Shared(None, 254 * 2**20, 6.0, 1.0, 54 * 2**20, 0.02),
    }
    return Inputs(**(values | changes))
