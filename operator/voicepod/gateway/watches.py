"""What watches tell: an object changed, so take it over."""

from typing import Any

import kopf

from voicepod.api.names import AGENTS, GROUP, VERSION
from voicepod.gateway.directory import Directory


def registry_for(directory: Directory) -> kopf.OperatorRegistry:
    """Return the handlers of kopf's watch."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, AGENTS, registry=registry)
    async def agent_changed(event: Any, **_: Any) -> None:
        directory.see_agent(event["object"], deleted=event["type"] == "DELETED")

    return registry
