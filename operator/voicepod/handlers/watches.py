"""What watches tell: an object changed, so take it over and have it reconciled."""

import asyncio
from collections.abc import Collection
from typing import Any

import kopf

from voicepod.api.names import AGENTS, GROUP, LABEL_AGENT, VERSION
from voicepod.handlers.intake import Intake
from voicepod.kube.client import PODS, VOICE_SESSIONS, Kube
from voicepod.kube.follow import follow
from voicepod.kube.lists import Lists


def registry_for(intake: Intake) -> kopf.OperatorRegistry:
    """Return the handlers of kopf's watches; of nodes only if they may be seen."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(GROUP, VERSION, AGENTS, registry=registry)
    async def agent_changed(event: Any, **_: Any) -> None:
        intake.agent(event["object"], deleted=event["type"] == "DELETED")

    if intake.world.sees_nodes:

        @kopf.on.event("", "v1", "nodes", registry=registry)
        async def node_changed(event: Any, **_: Any) -> None:
            intake.node(event["object"], deleted=event["type"] == "DELETED")

    return registry


async def follow_calls(
    kube: Kube, namespaces: Collection[str], intake: Intake, lists: Lists
) -> None:
    """Take over sessions and agent pods as they change after they were listed, for ever."""
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(kube, VOICE_SESSIONS, namespaces, intake.session, lists=lists))
        group.create_task(follow(kube, PODS, namespaces, intake.pod, LABEL_AGENT, lists))
