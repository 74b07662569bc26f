"""What kopf's watches tell: an object changed, so take it over."""

from typing import Any

import kopf

from voicepod.api.names import AGENTS, GROUP, SESSIONS, VERSION
from voicepod.gateway.directory import Directory


def registry_for(directory: Directory) -> kopf.OperatorRegistry:
    """Return the handlers of the gateway's two watches."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, AGENTS, registry=registry)
    async def agent_changed(event: Any, **_: Any) -> None:
        directory.see_agent(event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event(GROUP, VERSION, SESSIONS, registry=registry)
    async def session_changed(event: Any, **_: Any) -> None:
        directory.see_session(event["object"], deleted=event["type"] == "DELETED")

    return registry
