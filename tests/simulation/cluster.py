"""The cluster around the API server: scheduler, kubelet, and the garbage collector."""

import asyncio
from typing import Final

from tests.simulation.life import Life
from tests.simulation.pod import RunningPod
from tests.simulation.scene import Scene
from voicepod.assignment.errors import PodUnreachable
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS, Object

# In seconds: how long the garbage collector takes to miss an owner.
_COLLECTED: Final = (0.1, 3.0)


class Cluster:
    """Has each pod that is made live its life, and none outlive its owner."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chance = scene.chance("garbage")
        self._lives: dict[str, Life] = {}
        scene.store.graceful = frozenset({PODS})
        scene.store.watch(PODS, self._pod_changed)
        for owner in (VOICE_SESSIONS, VOICE_AGENTS):
            scene.store.watch(owner, self._owner_changed)

    def containers(self, pod_uid: str) -> RunningPod:
        """Return the containers of a pod. Raises PodUnreachable when they are not there."""
        life = self._lives.get(pod_uid)
        if life is None or life.containers is None:
            raise PodUnreachable("there is nobody at this address")
        return life.containers

    def in_call(self, pod_uid: str) -> bool:
        """Whether the agent of a pod is in a room with somebody to talk to."""
        life = self._lives.get(pod_uid)
        return bool(life and life.containers and life.containers.in_call)

    def _pod_changed(self, type_: str, item: Object) -> None:
        uid = item["metadata"]["uid"]
        if type_ == "ADDED":
            self._lives[uid] = Life(self._scene, item)
            owner = item["metadata"]["ownerReferences"][0]["uid"]
            if not self._exists(owner):
                self._collect_soon(owner)
        elif type_ == "DELETED":
            del self._lives[uid]
        elif "deletionTimestamp" in item["metadata"]:
            self._lives[uid].delete(item["metadata"].get("deletionGracePeriodSeconds"))

    def _exists(self, owner: str) -> bool:
        return any(
            item["metadata"]["uid"] == owner
            for kind in (VOICE_SESSIONS, VOICE_AGENTS)
            for item in self._scene.store.kept(kind)
        )

    def _owner_changed(self, type_: str, item: Object) -> None:
        if type_ == "DELETED":
            self._collect_soon(item["metadata"]["uid"])

    def _collect_soon(self, owner: str) -> None:
        delay = self._chance.between(*_COLLECTED)
        asyncio.get_running_loop().call_later(delay, self._collect, owner)

    def _collect(self, owner: str) -> None:
        for item in self._scene.store.kept(PODS):
            metadata = item["metadata"]
            if metadata["ownerReferences"][0]["uid"] == owner:
                self._scene.trace.say("cluster", "collects", metadata["name"])
                self._scene.store.let_go(PODS, metadata["namespace"], metadata["name"])
