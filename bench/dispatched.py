"""The ways of LiveKit: its own dispatch, to workers that are pods of the same image."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from livekit import api

from bench.calls import Way, eventually
from bench.script import Script
from bench.servers import Server
from bench.stage import Stage
from local.chart import AGENT_IMAGE, AGENT_RESOURCES
from voicepod.kube.client import PODS, SECRETS
from voicepod.kube.errors import NotFound

Json = dict[str, Any]

_SHARED_WORKER = Script(Path(__file__).with_name("shared_worker.py"))
_WORKER_PORT = 8081  # of every worker, in LiveKit's defaults for production
_REGISTERED = "registered worker"
_LOG_LINES = 200

# What voicepod's operator gives to an agent, too: one job in a pod, one idle executor.
_ONE_JOB = {"NUM_CPUS": "1", "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}


class Workers:
    """The pods that are LiveKit's workers, in one namespace, for one server."""

    def __init__(self, stage: Stage, server: Server) -> None:
        self._kube = stage.kube
        self._http = stage.http
        self._namespace = stage.namespace
        self.server = server

    async def prepare(self) -> None:
        """Make what the pods find: the server's keys, and the shared worker's code."""
        credentials = self.server.credentials
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "worker"},
            "stringData": {
                "LIVEKIT_URL": credentials.url,
                "LIVEKIT_API_KEY": credentials.key,
                "LIVEKIT_API_SECRET": credentials.secret,
            },
        }
        await self._kube.create(SECRETS, self._namespace, secret)
        await _SHARED_WORKER.install(self._kube, self._namespace)

    async def start_shared(self, name: str) -> None:
        """Start LiveKit's shared worker."""
        await self._start(name, _SHARED_WORKER.container, _SHARED_WORKER.volumes)

    async def start_dedicated(self, name: str) -> None:
        """Start a worker that registers under its own name, and takes one call."""
        env = {**_ONE_JOB, "LIVEKIT_AGENT_NAME": name}
        container = {"env": [{"name": key, "value": value} for key, value in env.items()]}
        await self._start(name, container, [])

    async def pod(self, name: str) -> Json:
        """Return a worker's pod."""
        return await self._kube.get(PODS, self._namespace, name)

    async def registered(self, name: str) -> str:
        """Wait until a worker has registered at its server; return its address."""

        async def told() -> str | None:
            pod = await self.pod(name)
            if pod["status"]["phase"] != "Running":
                return None
            log = await self._kube.log(self._namespace, name, "agent", _LOG_LINES)
            return str(pod["status"]["podIP"]) if _REGISTERED in log else None

        return await eventually(f"worker {name} has registered", told)

    async def state(self, address: str) -> Json:
        """Return what a worker says of itself."""
        async with self._http.get(f"http://{address}:{_WORKER_PORT}/worker") as response:
            found: Json = await response.json()
            return found

    async def end(self, name: str) -> None:
        """Delete a worker's pod and wait until it is gone."""
        with suppress(NotFound):
            pod = await self.pod(name)
            await self._kube.delete(PODS, self._namespace, name, uid=pod["metadata"]["uid"])

        async def gone() -> bool:
            try:
                await self.pod(name)
            except NotFound:
                return True
            return False

        await eventually(f"worker {name} is gone", gone)

    async def _start(self, name: str, container: Json, volumes: list[Json]) -> None:
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "terminationGracePeriodSeconds": 5,
                "volumes": volumes,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 10001,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "agent",
                        "image": AGENT_IMAGE,
                        "resources": AGENT_RESOURCES,
                        "envFrom": [{"secretRef": {"name": "worker"}}],
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        **container,
                    }
                ],
            },
        }
        await self._kube.create(PODS, self._namespace, pod)


class Automatic(Way):
    """(c): a shared worker, to which LiveKit brings every new room."""

    name = "livekit"
    what = "LiveKit's automatic dispatch to a shared worker"
    prefix = "automatic-"
    pod = "shared"
    """The worker's pod."""

    def __init__(self, workers: Workers) -> None:
        self.server = workers.server
        self._workers = workers
        self._address = ""

    async def start(self) -> None:
        """Start the worker."""
        await self._workers.start_shared(self.pod)
        self._address = await self._workers.registered(self.pod)

    async def ready(self) -> None:
        """Wait until the worker has no job and would take one by its own measure."""

        async def idle() -> bool:
            state = await self._workers.state(self._address)
            return not state.get("active_jobs") and state.get("worker_load", 0.0) < 0.7

        await eventually("the shared worker is idle", idle)

    async def over(self, room: str) -> None:
        """Wait until the job has ended."""
        await self.ready()


class Explicit(Way):
    """(d): a pod of its own for each call, which LiveKit dispatches by the name in the token."""

    name = "explicit"
    what = "LiveKit's explicit dispatch to a dedicated warm pod"
    prefix = "explicit-"

    def __init__(self, workers: Workers) -> None:
        self.server = workers.server
        self._workers = workers
        self._number = 0

    @property
    def _worker(self) -> str:
        return f"dedicated-{self._number}"

    async def start(self) -> None:
        """Start the first call's worker."""
        await self._workers.start_dedicated(self._worker)

    async def ready(self) -> None:
        """Wait until the next call's worker has registered."""
        await self._workers.registered(self._worker)

    async def token(self, room: str) -> str:
        """Return a token that asks for the worker."""
        credentials = self.server.credentials
        asks_for = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=self._worker)])
        return (
            api.AccessToken(credentials.key, credentials.secret)
            .with_identity("caller")
            .with_grants(api.VideoGrants(room_join=True, room=room))
            .with_room_config(asks_for)
            .to_jwt()
        )

    async def over(self, room: str) -> None:
        """Replace the worker by the next call's."""
        await self._workers.end(self._worker)
        self._number += 1
        await self._workers.start_dedicated(self._worker)
