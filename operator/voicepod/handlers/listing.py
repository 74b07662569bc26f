"""What there is, asked of the API server: those who wait for an agent before all others.

An operator that begins to lead, after another one was killed perhaps, has callers who wait. Of ten
thousand calls nearly all go on as they did, and their pods are most of what there is to be listed.
So what the others need comes first: the sessions, the pods that wait, and the pods of those that
are neither in a call nor over. Whoever waits is served from then on, while the rest is listed.
"""

import logging
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from typing import Final

from voicepod.api.names import LABEL_AGENT, LABEL_SESSION
from voicepod.api.session import Phase
from voicepod.handlers.intake import Intake, key_of
from voicepod.kube.client import (
    CORDONED,
    NODES,
    PAGE,
    PODS,
    VOICE_AGENTS,
    VOICE_SESSIONS,
    Kube,
    Resource,
    scopes,
)
from voicepod.kube.errors import Refused
from voicepod.kube.lists import Versions
from voicepod.reconcile.objects import Json, Key, Pod
from voicepod.reconcile.records import Record
from voicepod.reconcile.world import World

logger = logging.getLogger(__name__)

_IDLE: Final = f"{LABEL_AGENT},!{LABEL_SESSION}"
_OF_SESSIONS: Final = f"{LABEL_AGENT},{LABEL_SESSION}"

# Objects in a page while nobody is served yet. Each page costs the API server some milliseconds of
# its own: ten thousand objects by the hundred take it half as long again.
_LARGE_PAGE: Final = 500

# Of sessions whose pods are asked for in one request: a name has 56 characters, and a URL of some
# thousand is let pass by everything that is between us and the API server.
_NAMES: Final = 50


@dataclass(slots=True)
class Listing:
    """One look at everything; what was known before, and is not there any more, is forgotten.

    A watch that had to start anew never tells what vanished meanwhile. Every method raises an
    exception of ``kube.errors``, and may be called again then.
    """

    intake: Intake
    kube: Kube
    namespaces: Collection[str]
    """Exact names; none means all."""
    pause: float = 0.0
    """Seconds between two pages."""
    _pods: dict[Key, Pod] = field(default_factory=dict)
    """Known before, and not found so far."""

    async def everything(self) -> Versions:
        """List all that there is; returns of when the lists are that watches go on from."""
        versions = await self._begin(PAGE)
        await self._pods_of_sessions(_OF_SESSIONS)
        self._forget_pods()
        return versions

    async def first(self) -> Versions:
        """List what those need who wait for an agent; ``rest`` must follow.

        Sessions whose pods are yet to be listed are the world's ``unlisted`` until then. Returns of
        when the lists are that watches go on from.
        """
        versions, world = await self._begin(_LARGE_PAGE), self.intake.world
        waiting = {key for key, record in world.records.items() if _waits(record)}
        world.unlisted = world.records.keys() - waiting
        names = sorted({name for _, name in waiting})
        for start in range(0, len(names), _NAMES):
            some = ",".join(names[start : start + _NAMES])
            await self._pods_of_sessions(f"{_OF_SESSIONS} in ({some})")
        return versions

    async def rest(self) -> None:
        """List the pods of all others, and have all of it reconciled that ``first`` left."""
        await self._pods_of_sessions(_OF_SESSIONS)
        self._forget_pods()
        self.intake.listed()

    async def few(self) -> None:
        """List VoiceAgents and cordoned nodes alone."""
        await self._nodes()
        intake, world = self.intake, self.intake.world
        agents = {key: agent.uid for key, agent in world.agents.items()}
        async for raw in self._each(VOICE_AGENTS, "", {}):
            intake.agent(raw, deleted=False)
            agents.pop(key_of(raw), None)
        for agent, uid in agents.items():
            known = world.agents.get(agent)
            if known and known.uid == uid:
                intake.forget_agent(agent)
                intake.pool(agent)
                intake.sessions_of(agent)

    async def _begin(self, size: int) -> Versions:
        """List all but the pods of sessions, so many objects in a page."""
        intake, world = self.intake, self.intake.world
        sessions, self._pods = _uids(world), dict(world.pods)
        await self.few()
        listed: dict[tuple[Resource, str | None], str] = {}
        async for raw in self._each(VOICE_SESSIONS, "", listed, size):
            intake.session(raw, deleted=False)
            sessions.pop(key_of(raw), None)
        async for raw in self._each(PODS, _IDLE, listed, size):
            self._found(raw)
        # Another one may have the name by now.
        now = _uids(world)
        for session, uid in sessions.items():
            if now.get(session) == uid:
                intake.forget_session(session)
        return listed

    async def _pods_of_sessions(self, selector: str) -> None:
        async for raw in self._each(PODS, selector, {}):
            self._found(raw)

    def _found(self, raw: Json) -> None:
        self.intake.pod(raw, deleted=False)
        self._pods.pop(key_of(raw), None)

    def _forget_pods(self) -> None:
        for pod in self._pods.values():
            self.intake.forget_pod(pod)

    async def _each(
        self,
        resource: Resource,
        selector: str,
        listed: dict[tuple[Resource, str | None], str],
        size: int = PAGE,
    ) -> AsyncIterator[Json]:
        """Yield each object that is still there, and note of when the list is."""
        for namespace in scopes(self.namespaces):
            with self.intake.deletions() as gone:
                pages = self.kube.pages(resource, namespace, selector, pause=self.pause, size=size)
                async for page in pages:
                    listed[resource, namespace] = page.version
                    for raw in page.items:
                        if raw["metadata"]["uid"] not in gone:
                            yield raw

    async def _nodes(self) -> None:
        """List the cordoned nodes, if that is allowed; whether it is, is found out once."""
        world = self.intake.world
        if not world.sees_nodes:
            return
        before = set(world.cordoned)
        try:
            found = await self.kube.list_all(NODES, None, field_selector=CORDONED)
        except Refused as error:
            world.sees_nodes = False
            logger.warning("a drain will not wait for calls, which other pods take over: %s", error)
            return
        if set(world.cordoned) == before:
            # If not, the watch has told of something later.
            now = {raw["metadata"]["name"] for raw in found}
            for node in sorted(before ^ now):
                self.intake.cordoned(node, node in now)


def _waits(record: Record) -> bool:
    """Whether a session is neither in a call nor over, by what the API server has of it."""
    phase = record.session.packed.phase
    return phase is not Phase.ACTIVE and not phase.finished


def _uids(world: World) -> dict[Key, str]:
    return {key: record.session.uid for key, record in world.records.items()}
