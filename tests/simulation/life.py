"""The life of one pod: scheduled, started, ready, and gone, as the API server is told of it."""

import asyncio
from typing import Final

from tests.simulation.nodes import schedulable
from tests.simulation.pod import RunningPod
from tests.simulation.scene import Scene, clock
from tests.simulation.weather import CALM
from voicepod.api.names import AGENT_CONTAINER
from voicepod.kube.client import PODS, Object

# In seconds. A real cluster gives a node up after minutes; nothing depends on how many.
_NODE_GIVEN_UP: Final = 60.0

# In seconds: how long a pod may be without a node before somebody has made room for it.
_UNSCHEDULED: Final = (5.0, 40.0)
_UNSCHEDULABLE: Final = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available",
}


class Life:
    """A pod's life on a node."""

    def __init__(self, scene: Scene, item: Object) -> None:
        self._deleted = asyncio.Event()
        self.containers: RunningPod | None = None
        self._scene = scene
        self._key = item["metadata"]["namespace"], item["metadata"]["name"]
        self._grace: float = item["spec"]["terminationGracePeriodSeconds"]
        # By the whole name of what it is: a session's pod may be made again under its name.
        self._chance = scene.chance(f"{self._key[1]}/{item['metadata']['uid']}")
        self._node = ""
        self._rising = scene.start(self._rise())
        scene.start(self._live())

    def delete(self, grace: float | None) -> None:
        """Have it end; ``grace`` in seconds, if it is not what the pod itself says."""
        if grace is not None:
            self._grace = grace
        self._deleted.set()

    async def _live(self) -> None:
        await self._deleted.wait()
        self._rising.cancel()
        if self.containers:
            await self.containers.stop(self._grace)
            self.containers = None
        self._scene.store.remove(PODS, *self._key)

    async def _rise(self) -> None:
        chance, weather = self._chance, self._scene.weather
        await asyncio.sleep(chance.between(0.005, 0.3))
        if chance.happens(weather.pod_unscheduled):
            self._write({"phase": "Pending"}, _UNSCHEDULABLE)
            await asyncio.sleep(chance.between(*_UNSCHEDULED))
        self._node = chance.one_of(schedulable(self._scene))
        self._tell("Pending", {"waiting": {"reason": "ContainerCreating"}})
        await asyncio.sleep(chance.between(0.1, 2.0))
        if chance.happens(weather.pod_crashes_at_start):
            await self._crash()
            return
        self.containers = RunningPod(self._scene, self._key[1], chance, self._crashed)
        self._tell("Running", {"running": {}})
        if chance.happens(weather.pod_never_ready):
            return
        await asyncio.sleep(chance.between(0.3, 4.0))
        await self.containers.register()
        await asyncio.sleep(chance.between(0.0, 1.0))
        self._tell("Running", {"running": {}}, ready=True)
        if chance.happens(weather.pod_crashes):
            await asyncio.sleep(chance.between(0.0, 40.0))
            if self._scene.weather is not CALM:
                self.containers.crash()
        if chance.happens(weather.node_dies):
            await asyncio.sleep(chance.between(0.0, 40.0))
            await self._lose_node()

    def _crashed(self) -> None:
        if not self._deleted.is_set():
            self._rising.cancel()
            self._rising = self._scene.start(self._crash())

    async def _crash(self) -> None:
        """Tell that the agent has ended, a moment later, and end the sidecar as well."""
        await asyncio.sleep(self._chance.between(0.1, 1.5))
        self._tell("Running", {"terminated": {"exitCode": 1, "message": "it crashed"}})
        if self.containers:
            await self.containers.end()
            self.containers = None
        self._tell("Failed", {"terminated": {"exitCode": 1, "message": "it crashed"}})

    async def _lose_node(self) -> None:
        if not self._scene.weather.node_dies or not self.containers:
            return
        self._scene.trace.say(self._key[1], "loses its node")
        containers, self.containers = self.containers, None
        await containers.end()
        await asyncio.sleep(_NODE_GIVEN_UP)
        self._scene.store.let_go(PODS, *self._key)

    def _tell(self, phase: str, state: Object, ready: bool = False) -> None:
        """Write the pod's status, as the kubelet does."""
        containers = [{"name": AGENT_CONTAINER, "state": state}]
        self._write(
            {"podIP": "10.0.0.1", "phase": phase, "containerStatuses": containers},
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": str(ready)},
        )

    def _write(self, status: Object, *conditions: Object) -> None:
        store, since = self._scene.store, f"{clock():%Y-%m-%dT%H:%M:%SZ}"
        status["conditions"] = [{**one, "lastTransitionTime": since} for one in conditions]
        item = store.find(PODS, *self._key)
        spec = {**item["spec"], "nodeName": self._node}
        store.put(PODS, self._key[0], {**item, "spec": spec, "status": status})
        self._scene.trace.say(
            self._key[1], "is", status["phase"], f"ready={conditions[-1]['status']}"
        )
