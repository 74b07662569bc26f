"""Has the placeholders of a VoiceAgent be as its spec says, and tells how many hold room.

Nothing is remembered: there is a Deployment only while the VoiceAgent's status speaks of head-room,
which is written before one is made, and taken back when it is gone. Whoever wants none costs no
request.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from voicepod.api.capacity import HeadroomStatus
from voicepod.api.conditions import shorten
from voicepod.api.names import ANNOTATION_TEMPLATE_HASH
from voicepod.builders.headroom import build_headroom, headroom_name
from voicepod.builders.warm import WarmOwner
from voicepod.kube.client import DEPLOYMENTS, VOICE_AGENTS, Kube
from voicepod.kube.errors import NotFound, Refused
from voicepod.reconcile.merge import merge_patch
from voicepod.reconcile.objects import Agent, Json, Key, parse_agent
from voicepod.reconcile.sessions import Outcome
from voicepod.reconcile.templates import TemplateBook
from voicepod.reconcile.world import World

# How many hold room is for people, and for graphs of a point each quarter of a minute. A watch
# would tell sooner, and need the right to list every Deployment.
_LOOK: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class HeadroomReconciler:
    """Keeps one Deployment for each VoiceAgent that wants head-room."""

    world: World
    kube: Kube
    templates: TemplateBook

    async def reconcile(self, key: Key) -> Outcome:
        """Make, change or delete a VoiceAgent's placeholders, and write how many hold room.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        agent = self.world.agents.get(key)
        if agent is None:
            # The Deployment is its own, and the garbage collector's.
            return Outcome()
        wanted = agent.spec.capacity.headroom
        try:
            if wanted:
                if agent.status.headroom is None:
                    agent = await self._tell(agent, HeadroomStatus())
                await self._tell(agent, await self._held(agent))
            elif agent.status.headroom:
                await self._delete(agent)
                await self._tell(agent, None)
        except NotFound:
            # The VoiceAgent was deleted meanwhile; the watch will say so.
            return Outcome()
        return Outcome(wake=_LOOK.total_seconds() if wanted else None)

    async def _held(self, agent: Agent) -> HeadroomStatus:
        """Have the Deployment be as it should be, and return what it has come to."""
        found = await self._find(agent.key)
        if found and not _is_of(found, agent):
            name = found["metadata"]["name"]
            return HeadroomStatus(message=f"Deployment {name} is there, and is somebody else's")
        manifest = build_headroom(
            self.templates.of(agent).stable,
            WarmOwner(*agent.key, agent.uid),
            agent.spec.capacity.headroom,
            self.templates.sidecar,
        )
        if found is None or _hash(found) != _hash(manifest):
            try:
                found = await self.kube.apply(DEPLOYMENTS, agent.key[0], manifest)
            except Refused as error:
                return HeadroomStatus(message=shorten(str(error)))
        status = found.get("status", {})
        return HeadroomStatus(ready=status.get("readyReplicas", 0), message=_failure(status))

    async def _delete(self, agent: Agent) -> None:
        found = await self._find(agent.key)
        if found is None or not _is_of(found, agent):
            return
        metadata = found["metadata"]
        try:
            await self.kube.delete(DEPLOYMENTS, agent.key[0], metadata["name"], metadata["uid"])
        except NotFound:
            return

    async def _find(self, key: Key) -> Json | None:
        try:
            return await self.kube.get(DEPLOYMENTS, key[0], headroom_name(key[1]))
        except NotFound:
            return None

    async def _tell(self, agent: Agent, status: HeadroomStatus | None) -> Agent:
        """Write the status if it is another one, and return the VoiceAgent with it."""
        told = agent.status.model_copy(update={"headroom": status})
        patch = merge_patch(agent.status.to_yaml(), told.to_yaml())
        if not patch:
            return agent
        written = await self.kube.patch(
            VOICE_AGENTS, *agent.key, {"status": patch}, subresource="status"
        )
        self.world.put_status(parse_agent(written))
        return replace(agent, status=told)


def _is_of(deployment: Json, agent: Agent) -> bool:
    owners = deployment["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == agent.uid for owner in owners)


def _hash(deployment: Json) -> str | None:
    found: str | None = deployment["metadata"].get("annotations", {}).get(ANNOTATION_TEMPLATE_HASH)
    return found


def _failure(status: Json) -> str | None:
    """Return why the Deployment's controller cannot make pods, such as a missing PriorityClass."""
    for condition in status.get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return shorten(condition["message"])
    return None
