"""The doors that a process of ours has to the API server, to LiveKit and to the pods."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeVar

from tests.simulation.cluster import Cluster
from tests.simulation.pod import RunningPod
from tests.simulation.process import Odds, Process
from tests.simulation.scene import API_SERVER, LIVEKIT, Scene
from voicepod.api.names import LABEL_SESSION
from voicepod.assignment.client import PodClient
from voicepod.assignment.errors import PodUnreachable
from voicepod.assignment.messages import Accepted, Assignment, PodStatus, Tokens
from voicepod.kube.client import Kube, Object, Page, Resource
from voicepod.kube.errors import Conflict, Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import Unreachable
from voicepod.livekit.rooms import ListedRoom, Room, Rooms

T = TypeVar("T")


class KubeDoor(Kube):
    """The API server, as one process reaches it."""

    def __init__(self, process: Process, scene: Scene) -> None:
        self._process, self._scene, self._store = process, scene, scene.store

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        return await self._reach(
            f"get {resource.plural} {name}", lambda: self._store.get(resource, namespace, name)
        )

    async def pages(
        self,
        resource: Resource,
        namespace: str | None,
        label_selector: str = "",
        field_selector: str = "",
        pause: float = 0.0,
        size: int = 0,
    ) -> AsyncGenerator[Page, None]:
        items = await self._reach(
            f"list {resource.plural} {label_selector}{field_selector}",
            lambda: self._store.list_all(resource, namespace, label_selector, field_selector),
        )
        yield Page(items, self._store.version)

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        name = body["metadata"].get("name") or body["metadata"]["generateName"]
        return await self._reach(
            f"{'try to ' if dry_run else ''}create {resource.plural} {name}",
            lambda: self._store.create(resource, namespace, body, dry_run),
        )

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        async def do() -> Object:
            # With a version in the patch, the API server says so only when it is another one.
            retried = "resourceVersion" not in body.get("metadata", {})
            if retried and self._process.chance.happens(self._scene.weather.kube_conflict):
                raise Conflict("too many have changed it meanwhile")
            return await self._store.patch(resource, namespace, name, body, subresource)

        return await self._reach(f"patch {resource.plural} {name} {_short(body)}", do)

    async def apply(self, resource: Resource, namespace: str, body: Object) -> Object:
        return await self._reach(
            f"apply {resource.plural} {body['metadata']['name']}",
            lambda: self._store.apply(resource, namespace, body),
        )

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        uid: str,
        version: int | None = None,
        grace: int | None = None,
    ) -> None:
        await self._reach(
            f"delete {resource.plural} {name}{'' if grace is None else ' at once'}",
            lambda: self._delete(resource, namespace, name, uid, version, grace),
        )

    async def _delete(self, resource: Resource, namespace: str, name: str, *which: Any) -> None:
        await self._store.delete(resource, namespace, name, *which)

    async def log(self, namespace: str, pod: str, container: str, lines: int) -> str:
        async def do() -> str:
            return "its last words"

        return await self._reach(f"read the log of {pod}", do)

    async def _reach(self, what: str, do: Callable[[], Awaitable[T]]) -> T:
        weather = self._scene.weather
        refused = 1.0 if API_SERVER in self._scene.away else weather.kube_refused
        odds = Odds(refused, weather.kube_lost, weather.kube_slow)
        return await self._process.ask(what, do, odds, Unavailable)


class PoolsDoor(KubeDoor):
    """The API server, as the pools of one operator reach it: they never touch a call's pod."""

    async def _delete(self, resource: Resource, namespace: str, name: str, *which: Any) -> None:
        labels = self._store.find(resource, namespace, name)["metadata"]["labels"]
        await super()._delete(resource, namespace, name, *which)
        if LABEL_SESSION in labels:
            self._scene.broken(
                f"the pool has deleted pod {name} of session {labels[LABEL_SESSION]}"
            )


def _short(body: Object) -> str:
    """Return what a patch is about, for the trace."""
    metadata, status = body.get("metadata", {}), body.get("status", {})
    if "labels" in metadata:
        return f"claimed for {', '.join(metadata['labels'].values())}"
    words = [status[name] for name in ("phase", "endReason") if name in status]
    return " ".join(filter(None, [*words, *metadata.get("annotations", {}).values()]))


class RoomsDoor(Rooms):
    """LiveKit, as one process reaches it."""

    def __init__(self, process: Process, scene: Scene) -> None:
        self._process, self._scene, self._server = process, scene, scene.livekit

    @classmethod
    def of(cls, process: Process, scene: Scene, _: Credentials) -> "RoomsDoor":
        """Return the rooms of a project, of which there is one."""
        return cls(process, scene)

    async def look(self, name: str) -> Room:
        return await self._reach(f"look at room {name}", lambda: self._server.look(name))

    async def all(self) -> list[ListedRoom]:
        return await self._reach("list all rooms", self._server.all)

    async def open(self, name: str) -> Room | None:
        return await self._reach(f"open room {name}", lambda: self._server.open(name))

    async def close(self, name: str) -> None:
        await self._reach(f"close room {name}", lambda: self._server.close(name))

    async def remove(self, name: str, identity: str) -> None:
        await self._reach(
            f"put {identity} out of room {name}", lambda: self._server.remove(name, identity)
        )

    async def dispatches(self, name: str) -> dict[str, str]:
        return await self._reach(f"list the dispatches of room {name}", lambda: {})

    async def check(self) -> None:
        await self._reach("check LiveKit", lambda: None)

    async def _reach(self, what: str, do: Callable[[], T]) -> T:
        async def done() -> T:
            return do()

        weather = self._scene.weather
        refused = 1.0 if LIVEKIT in self._scene.away else weather.livekit_refused
        odds = Odds(refused, weather.livekit_lost, weather.livekit_slow)
        return await self._process.ask(what, done, odds, Unreachable)


class PodsDoor(PodClient):
    """The pods, as the operator reaches them."""

    def __init__(self, process: Process, scene: Scene, cluster: Cluster) -> None:
        self._process, self._scene, self._cluster = process, scene, cluster

    async def assign(self, address: str, pod_uid: str, assignment: Assignment) -> Accepted:
        return await self._reach(
            pod_uid,
            f"assign {assignment.session.name}, generation {assignment.generation}, to",
            lambda pod: pod.assign(assignment),
        )

    async def dispatch(self, address: str, pod_uid: str, tokens: Tokens) -> PodStatus:
        return await self._reach(pod_uid, "dispatch", lambda pod: pod.dispatch(tokens))

    async def end(self, address: str, pod_uid: str, reason: str) -> PodStatus:
        return await self._reach(pod_uid, f"tell {reason} to", lambda pod: pod.told_to_end(reason))

    async def status(self, address: str, pod_uid: str) -> PodStatus:
        return await self._reach(pod_uid, "ask", lambda pod: pod.status())

    async def checkpoint(self, address: str, pod_uid: str) -> str | None:
        return await self._reach(pod_uid, "get what was said from", lambda pod: pod.checkpoint())

    async def _reach(self, pod_uid: str, what: str, do: Callable[[RunningPod], Awaitable[T]]) -> T:
        async def do_there() -> T:
            return await do(self._cluster.containers(pod_uid))

        weather = self._scene.weather
        odds = Odds(weather.pod_refused, weather.pod_lost)
        return await self._process.ask(f"{what} {pod_uid}", do_there, odds, PodUnreachable)
