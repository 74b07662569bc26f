"""The cluster around the API server: scheduler, kubelet, and the garbage collector."""

import asyncio
from typing import Final

from tests.simulation.life import Life
from tests.simulation.pod import RunningPod
from tests.simulation.scene import NAMESPACE, Scene
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

    def call(self, pod_uid: str) -> str:
        """The sid of the room where the agent of a pod talks to somebody; empty if it does not."""
        life = self._lives.get(pod_uid)
        return life.containers.call if life and life.containers else ""

    def talking_in(self, room_sid: str) -> RunningPod | None:
        """Return the containers of the pod whose agent talks to somebody in a room."""
        running = [life.containers for life in self._lives.values() if life.containers]
        return next((one for one in running if one.call == room_sid), None)

    def _pod_changed(self, type_: str, item: Object) -> None:
        uid = item["metadata"]["uid"]
        if type_ == "ADDED":
            self._lives[uid] = Life(self._scene, item)
        if type_ != "DELETED" and not self._exists(owner_of(item)):
            self._collect_soon(owner_of(item))
        if type_ == "DELETED":
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
            if owner_of(item) == owner:
                name = item["metadata"]["name"]
                self._scene.trace.say("cluster", "collects", name)
                self._scene.store.let_go(PODS, NAMESPACE, name)


def owner_of(pod: Object) -> str:
    """Return the uid of the session or the VoiceAgent that a pod belongs to."""
    return str(pod["metadata"]["ownerReferences"][0]["uid"])
