"""What is promised when all is well but for one thing, and so is to be kept to the second."""

import asyncio
from typing import Final

from tests.simulation.chance import Chance
from tests.simulation.cluster import Cluster
from tests.simulation.invariants import Always, goes_on, held_up, sid_of, unanswered
from tests.simulation.livekit import OpenRoom, Participant
from tests.simulation.nodes import Nodes
from tests.simulation.people import Callers, Platform, end_session
from tests.simulation.scene import API_SERVER, Scene
from voicepod.kube.client import VOICE_SESSIONS

# In seconds: how long a caller waits who comes when all is well.
_WELCOME: Final = 15.0

# In seconds, until nothing comes of a call's end any more: maxDuration where it is short, the
# goodbye, and two sweeps.
_PARTED: Final = 30.0 + 10.0 + 2 * 30.0

# In seconds: a cold start, and the join.
_TAKEN_OVER: Final = 12.0

# In seconds, until pods that wait have left a cordoned node: the last one goes when another has
# started, and that one may take the place of a failure.
_MOVED: Final = 7.0 + 7.0

# In seconds, until an evicted pod has gone: the longest goodbye, and the sidecar's.
_EVICTED: Final = 5.0 + 1.0

# In seconds: how long the API server is away, and until all is as it should be again, with as long
# as an agent takes that was not on its way before.
_AWAY: Final = 60.0
_RECONCILED: Final = 30.0 + 10.0


class Calm:
    """Tries one thing after the other on one caller."""

    def __init__(
        self,
        scene: Scene,
        chance: Chance,
        cluster: Cluster,
        nodes: Nodes,
        platform: Platform,
        always: Always,
    ) -> None:
        self._scene, self._chance = scene, chance
        self._cluster, self._nodes = cluster, nodes
        self._platform, self._always = platform, always
        self._late = Callers(scene, "late")

    async def try_all(self) -> list[str]:
        """Return what went wrong with the first that did."""
        bob = self._late.join("bob")
        wrong = await self._welcomed() or await self._parted(bob)
        self._platform.let_calls_last()
        self._late.join("bob")
        wrong = wrong or await self._welcomed() or await self._taken_over()
        if wrong or self._scene.hushed:
            # A call in which nobody speaks would end by itself meanwhile.
            return wrong
        return await self._held_up() or await self._without_api_server()

    @property
    def _room(self) -> OpenRoom:
        return self._scene.livekit.rooms["late"]

    async def _welcomed(self) -> list[str]:
        await asyncio.sleep(_WELCOME)
        if not self._room.live_agents:
            return ["who came when all was well has no agent"]
        return unanswered(self._scene, self._always)

    async def _parted(self, bob: Participant) -> list[str]:
        """Have the call ended while its caller stays: they get no other agent for that."""
        sid = self._room.sid
        if self._platform.spec["lifecycle"]["maxDuration"] == "10m":
            deleted = self._chance.happens(0.5)
            for item in self._scene.store.kept(VOICE_SESSIONS):
                if sid_of(item) == sid:
                    end_session(self._scene, item, deleted)
        await asyncio.sleep(_PARTED)
        wrong = [
            f"{agent.identity} is with a caller whose call was ended"
            for agent in self._room.live_agents
        ]
        wrong += [
            f"session {item['metadata']['name']} was made for a caller whose call was ended"
            for item in self._scene.store.kept(VOICE_SESSIONS)
            if sid_of(item) == sid and goes_on(item)
        ]
        self._scene.livekit.leave(bob)
        return wrong

    async def _taken_over(self) -> list[str]:
        """Have an agent's process die in mid-call: another one goes on, and knows what was said."""
        if not self._platform.most_replacements:
            return []
        before = self._cluster.talking_in(self._room.sid)
        assert before
        before.crash()
        await asyncio.sleep(_TAKEN_OVER)
        after = self._cluster.talking_in(self._room.sid)
        if after is None:
            return ["nobody has taken a call over"]
        if after.said != f"{before.said}.":
            return ["whoever took a call over does not know what was said"]
        return unanswered(self._scene, self._always)

    async def _held_up(self) -> list[str]:
        """Have the node of a call drained: the call goes on, and nobody waits there."""
        node, agents = self._nodes.of_call(self._room.name), self._room.live_agents
        self._nodes.cordon(node)
        await asyncio.sleep(_MOVED)
        wrong = held_up(self._scene, node)
        self._nodes.evict(node)
        await asyncio.sleep(_EVICTED)
        if self._room.live_agents != agents:
            wrong.append("a call has lost its agent to a drain that should wait")
        self._nodes.uncordon(node)
        return wrong

    async def _without_api_server(self) -> list[str]:
        """Have the API server be away: live calls go on, and all is as it should be soon after."""
        agents = self._room.live_agents
        with self._scene.without(API_SERVER):
            Callers(self._scene, "meanwhile").join("carol")
            await asyncio.sleep(_AWAY)
        await asyncio.sleep(_RECONCILED)
        wrong = unanswered(self._scene, self._always)
        if self._room.live_agents != agents:
            wrong.append("a call has lost its agent to an API server that was away")
        return wrong
