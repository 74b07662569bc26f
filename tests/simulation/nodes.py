"""The nodes, and somebody who drains them."""

import asyncio
from typing import Final

from tests.simulation.scene import Scene
from voicepod.api.names import ANNOTATION_ROOM, LABEL_SESSION
from voicepod.kube.client import BUDGETS, NODES, PODS, Object

_NAMES: Final = ("node-1", "node-2", "node-3")

# In seconds, between two rounds of a drain; ``kubectl drain`` takes five.
_ROUND: Final = (0.0, 5.0)


class Nodes:
    """Three nodes, of which one at a time is drained."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chance = scene.chance("nodes")
        self.evicted: set[str] = set()
        """Uids of pods that nothing kept from being evicted."""
        for name in _NAMES:
            self._put(name, cordoned=False)

    async def drain_now_and_then(self) -> None:
        """Drain a node for a while, then another, until cancelled."""
        while True:
            await asyncio.sleep(1)
            if self._chance.happens(self._scene.weather.node_drained):
                await self._drain(self._chance.one_of(_NAMES))

    async def _drain(self, name: str) -> None:
        self.cordon(name)
        try:
            for _ in range(self._chance.count(0, 4)):
                await asyncio.sleep(self._chance.between(*_ROUND))
                self.evict(name)
        finally:
            self.uncordon(name)

    def cordon(self, name: str) -> None:
        """Have a node take no new pods."""
        self._scene.trace.say("platform", "cordons", name)
        self._put(name, cordoned=True)

    def uncordon(self, name: str) -> None:
        """Have a node take new pods again."""
        self._scene.trace.say("platform", "uncordons", name)
        self._put(name, cordoned=False)

    def _put(self, name: str, cordoned: bool) -> None:
        body = {"metadata": {"name": name}, "spec": {"unschedulable": cordoned}}
        self._scene.store.put(NODES, "", body)

    def of_call(self, room: str) -> str:
        """Return the node that the pod of a room's call is on; empty if there is no call."""
        nodes = (
            name
            for name in _NAMES
            for pod in pods_on(self._scene, name)
            if pod["metadata"]["annotations"].get(ANNOTATION_ROOM) == room
        )
        return next(nodes, "")

    def evict(self, name: str) -> None:
        """Have all pods of a node evicted that no budget guards."""
        guarded = bool(self._scene.store.kept(BUDGETS))
        for pod in pods_on(self._scene, name):
            metadata = pod["metadata"]
            if guarded and LABEL_SESSION in metadata["labels"]:
                self._scene.trace.say("platform", "may not evict", metadata["name"])
                continue
            self._scene.trace.say("platform", "evicts", metadata["name"])
            self.evicted.add(metadata["uid"])
            self._scene.store.let_go(PODS, metadata["namespace"], metadata["name"])


def schedulable(scene: Scene) -> list[str]:
    """Return the nodes that take new pods."""
    nodes = scene.store.kept(NODES)
    return [node["metadata"]["name"] for node in nodes if not is_cordoned(node)]


def is_cordoned(node: Object) -> bool:
    """Whether a node takes no new pods."""
    return bool(node["spec"]["unschedulable"])


def pods_on(scene: Scene, node: str) -> list[Object]:
    """Return the pods of a node that are not on their way out."""
    return [
        pod
        for pod in scene.store.kept(PODS)
        if pod["spec"].get("nodeName") == node and "deletionTimestamp" not in pod["metadata"]
    ]
