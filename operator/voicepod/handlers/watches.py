"""What kopf's watches tell: an object changed, so take it over and have it reconciled."""

from typing import Any

import kopf

from voicepod.api.names import AGENTS, GROUP, SESSIONS, VERSION
from voicepod.handlers.intake import Intake


def registry_for(intake: Intake) -> kopf.OperatorRegistry:
    """Return the handlers of kopf's watches; of nodes only if they may be seen."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, AGENTS, registry=registry)
    async def agent_changed(event: Any, **_: Any) -> None:
        intake.agent(event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event(GROUP, VERSION, SESSIONS, registry=registry)
    async def session_changed(event: Any, **_: Any) -> None:
        intake.session(event["object"], deleted=event["type"] == "DELETED")

    if intake.world.sees_nodes:

        @kopf.on.event("", "v1", "nodes", registry=registry)
        async def node_changed(event: Any, **_: Any) -> None:
            intake.node(event["object"], deleted=event["type"] == "DELETED")

    return registry
