"""What a test does on the cluster: apply, call, look until something is so; and say why if not.

Nothing here is in anybody's place: it is what a user does with kubectl and a telephone.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from local import LocalError, chart
from local.caller import Caller, join_token
from local.cluster import Cluster
from voicepod.kube.client import EVENTS, PODS, VOICE_AGENTS, VOICE_SESSIONS, Kube, Resource
from voicepod.kube.errors import NotFound

Json = dict[str, Any]
T = TypeVar("T")

PATIENCE = 120.0
"""Seconds until a test gives up. What it waits for takes a few on an idle machine."""

LIFECYCLE = {"startDeadline": "2m", "reconnectGrace": "1s", "shutdownGrace": "5s"}
"""As patient with a starved machine as the tests are, and no longer with a caller than it takes."""

_LOOK_EVERY = 0.25
_LOG_LINES = 40


@dataclass(frozen=True)
class Stage:
    """A namespace on the cluster, and the ways to it."""

    cluster: Cluster
    kube: Kube
    namespace: str

    async def kubectl(self, *arguments: str, data: Json | None = None) -> str:
        """Run kubectl in the namespace; raises LocalError with its words when it fails."""
        return await asyncio.to_thread(
            chart.kubectl,
            self.cluster,
            *("--namespace", self.namespace),
            *arguments,
            data=json.dumps(data).encode() if data else None,
        )

    async def apply(self, manifest: Json) -> None:
        """Apply a manifest as a user does with `kubectl apply`."""
        await self.kubectl("apply", "-f", "-", data=manifest)

    async def apply_agent(self, name: str, **spec: Any) -> str:
        """Apply a VoiceAgent that gets the rooms whose name starts with what is returned."""
        prefix = f"{self.namespace}-{name}-"
        spec = {"rooms": [{"prefix": prefix}], "lifecycle": LIFECYCLE, **spec}
        await self.apply(chart.voice_agent(self.cluster, self.namespace, name, **spec))
        return prefix

    async def apply_session(self, name: str, agent: str, **spec: Any) -> None:
        """Apply a VoiceSession, in a room of its own name."""
        await self.apply(self.voice_session(name, agent, **spec))

    async def apply_secret(self, name: str, **data: str) -> None:
        """Apply a Secret."""
        metadata = {"name": name, "namespace": self.namespace}
        await self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
        )

    def voice_session(self, name: str, agent: str, **spec: Any) -> Json:
        """Return the manifest of a VoiceSession."""
        return {
            "apiVersion": "voicepod.dev/v1alpha1",
            "kind": "VoiceSession",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"agentRef": {"name": agent}, "room": f"{self.namespace}/{name}", **spec},
        }

    async def gateway(self) -> str:
        """Return the URL of the gateway's Service, as this machine reaches it."""
        service = json.loads(
            await self.kubectl(
                *("get", "service", "voicepod-gateway", "--output", "json"),
                *("--namespace", chart.NAMESPACE),
            )
        )
        return f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    async def delete(self, resource: Resource, name: str) -> None:
        """Delete an object, and don't wait until it is gone."""
        found = await self.kube.get(resource, self.namespace, name)
        await self.kube.delete(resource, self.namespace, name, uid=found["metadata"]["uid"])

    async def end(self, session: str) -> None:
        """Set spec.end, as a user does who ends a call."""
        await self.kube.patch(VOICE_SESSIONS, self.namespace, session, {"spec": {"end": True}})

    @asynccontextmanager
    async def call(self, room: str, identity: str = "robert") -> AsyncIterator[Caller]:
        """Join a room; what is heard or not within PATIENCE decides."""
        key, secret = self.cluster.livekit_api_key, self.cluster.livekit_api_secret
        token = join_token(key, secret, room, identity)
        async with self.call_with(self.cluster.livekit_url, token) as caller:
            yield caller

    @asynccontextmanager
    async def call_with(self, url: str, token: str) -> AsyncIterator[Caller]:
        """Join the room that a token is for, with the patience of ``call``."""
        caller = Caller(url, token)
        try:
            async with asyncio.timeout(PATIENCE), caller:
                yield caller
        except TimeoutError:
            said = [f"{line.identity}: {line.text}" for line in caller.transcript]
            heard = f"heard {caller.utterances} on {len(caller.agent_tracks)} tracks; said {said}"
            raise AssertionError(f"the call hangs: {heard}\n{await self.report()}") from None

    async def sessions(self, room: str) -> list[Json]:
        """Return the VoiceSessions of a room, the oldest first."""
        found = await self.kube.list_all(VOICE_SESSIONS, self.namespace)
        ours = [session for session in found if session["spec"]["room"] == room]
        return sorted(ours, key=lambda session: str(session["metadata"]["creationTimestamp"]))

    async def session_of(self, room: str) -> Json:
        """Wait until a room has its VoiceSession, and return it."""

        async def found() -> Json | None:
            return next(iter(await self.sessions(room)), None)

        return await self.eventually(f"room {room!r} has a session", found)

    async def status(self, session: str) -> Json:
        """Return the status of a VoiceSession; what nobody has written yet is Pending."""
        found = await self.kube.get(VOICE_SESSIONS, self.namespace, session)
        return {"phase": "Pending", "message": "", **found.get("status", {})}

    async def in_phase(self, session: str, *phases: str) -> Json:
        """Wait until a VoiceSession is in one of the phases, and return its status then."""

        async def there() -> Json | None:
            status = await self.status(session)
            return status if status["phase"] in phases else None

        return await self.eventually(f"session {session} is {' or '.join(phases)}", there)

    async def because(self, session: str, reason: str) -> Json:
        """Wait until a VoiceSession is in its phase for a reason, and return its status then."""

        async def there() -> Json | None:
            status = await self.status(session)
            return status if status.get("reason") == reason else None

        return await self.eventually(f"session {session} has the reason {reason}", there)

    async def pods(self) -> dict[str, Json]:
        """Return the agent pods by name."""
        found = await self.kube.list_all(PODS, self.namespace, "voicepod.dev/session")
        return {pod["metadata"]["name"]: pod for pod in found}

    async def pods_gone(self) -> None:
        """Wait until there is no agent pod."""

        async def gone() -> bool:
            return not await self.pods()

        await self.eventually("no agent pod is left", gone)

    async def gone(self, resource: Resource, name: str) -> None:
        """Wait until an object is gone."""

        async def gone() -> bool:
            try:
                await self.kube.get(resource, self.namespace, name)
            except NotFound:
                return True
            return False

        await self.eventually(f"{resource.plural} {name} is gone", gone)

    async def event(self, about: str, reason: str, words: str = "") -> str:
        """Wait for an Event about an object for a reason, in such words; return its message."""

        async def told() -> str | None:
            for event in await self.kube.list_all(EVENTS, self.namespace):
                named = (event["involvedObject"]["name"], event["reason"]) == (about, reason)
                if named and words in event["message"]:
                    return str(event["message"])
            return None

        return await self.eventually(f"an Event {reason} about {about}", told)

    async def eventually(
        self, what: str, look: Callable[[], Awaitable[T | None]], within: float = PATIENCE
    ) -> T:
        """Look until there is something, and return it; else tell what the cluster says."""
        try:
            async with asyncio.timeout(within):
                while not (found := await look()):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(_LOOK_EVERY)
                return found
        except TimeoutError:
            raise AssertionError(f"not so: {what}\n{await self.report()}") from None

    async def report(self) -> str:
        """Return all that may tell what went wrong."""
        parts = []
        for resource in (VOICE_AGENTS, VOICE_SESSIONS):
            for found in await self.kube.list_all(resource, self.namespace):
                status = json.dumps(found.get("status", {}), indent=1)
                parts.append(f"{resource.plural} {found['metadata']['name']}: {status}")
        parts.append(await self._told("get", "pods", "--output", "wide"))
        parts.append(await self._told("get", "events", "--sort-by", ".lastTimestamp"))
        component = "--selector=app.kubernetes.io/component"
        logs = [
            *((self.namespace, f"pod/{pod}") for pod in await self.pods()),
            (chart.NAMESPACE, f"{component}=operator"),
            (chart.NAMESPACE, f"{component}=gateway"),
        ]
        parts += [await self._logs(*log) for log in logs]
        return "\n\n".join(parts)

    async def _logs(self, namespace: str, of: str) -> str:
        log = await self._told(
            *("logs", of, "--namespace", namespace),
            *("--all-containers", "--prefix", f"--tail={_LOG_LINES}"),
        )
        return f"log of {of}\n{log}"

    async def _told(self, *arguments: str) -> str:
        try:
            return await self.kubectl(*arguments)
        except LocalError as error:
            return str(error)
