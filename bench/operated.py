"""The ways of voicepod: its own operator and gateway, as the chart installs them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bench.calls import STEPS_PATIENCE, Way, eventually
from bench.stage import Stage
from local import chart
from local.errors import LocalError
from voicepod.api.names import ANNOTATION_CLAIMED
from voicepod.assignment.messages import PodStatus
from voicepod.kube.client import PODS, VOICE_AGENTS, VOICE_SESSIONS

Json = dict[str, Any]

# The shortest grace: the bench closes the room itself, and waits for nobody to come back.
_LIFECYCLE = {"reconnectGrace": "1s", "shutdownGrace": "1s", "ttlAfterFinished": "10m"}

POOL = {"min": 2, "max": 2}
"""Of the warm agent: fixed, so that no call finds a larger one than the call before did."""


class Platform:
    """voicepod on a stage."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def apply_agent(self, name: str, **spec: Any) -> str:
        """Apply a VoiceAgent; return the prefix of its rooms."""
        prefix = f"{self.stage.namespace}-{name}-"
        agent = chart.voice_agent(
            self.stage.cluster,
            self.stage.namespace,
            name,
            rooms=[{"prefix": prefix}],
            lifecycle=_LIFECYCLE,
            **spec,
        )
        chart.apply(self.stage.cluster, agent)
        return prefix

    async def idle_pods(self, agent: str) -> list[Json]:
        """Return the pods of an agent that no session has."""
        selector = f"voicepod.dev/agent={agent},!voicepod.dev/session"
        return await self.stage.kube.list_all(PODS, self.stage.namespace, selector)

    async def warm(self, agent: str) -> bool:
        """Say whether the pool of an agent is full: as many pods wait as it is to have."""
        pods = await self.idle_pods(agent)
        ready = [pod for pod in pods if _ready(pod) and "deletionTimestamp" not in pod["metadata"]]
        found = await self.stage.kube.get(VOICE_AGENTS, self.stage.namespace, agent)
        counts = {len(pods), len(ready), found.get("status", {}).get("warm")}
        return counts == {POOL["min"]}

    async def session_of(self, room: str) -> Json | None:
        """Return the session of a room."""
        found = await self.stage.kube.list_all(VOICE_SESSIONS, self.stage.namespace)
        return next((each for each in found if each["spec"]["room"] == room), None)

    async def pod_of(self, room: str) -> Json | None:
        """Return the pod of a room's session."""
        session = await self.session_of(room)
        name = session.get("status", {}).get("pod") if session else None
        return await self.stage.kube.get(PODS, self.stage.namespace, name) if name else None

    async def steps(self, room: str) -> Mapping[str, float]:
        """Return when each step of a session happened, by its own ledger and its sidecar's."""

        async def active() -> tuple[Json, PodStatus] | None:
            session = await self.session_of(room)
            times = session.get("status", {}).get("times", {}) if session else {}
            pod = await self.pod_of(room) if "firstAudio" in times else None
            if pod is None:
                return None
            status = await self.stage.pods.status(pod["status"]["podIP"], pod["metadata"]["uid"])
            return times, status

        times, status = await eventually(f"the session of {room} is active", active, STEPS_PATIENCE)
        return {
            "session seen": datetime.fromisoformat(times["received"]).timestamp(),
            "pod claimed": datetime.fromisoformat(times["claimed"]).timestamp(),
            **sidecar_steps(status),
        }

    async def losses(self, room: str) -> list[Json]:
        """Return what a room's session says of the agents that it has lost, the oldest first."""
        session = await self.session_of(room)
        found: list[Json] = session.get("status", {}).get("lost", []) if session else []
        return found

    async def takeover_steps(self, room: str) -> Mapping[str, float]:
        """Return when each step of the last take-over happened."""
        losses, pod = await self.losses(room), await self.pod_of(room)
        if not losses or pod is None:
            raise LocalError(f"the session of {room} has lost no agent, or has none")
        status = await self.stage.pods.status(pod["status"]["podIP"], pod["metadata"]["uid"])
        noted = {
            "noticed": losses[-1]["at"],
            "pod claimed": pod["metadata"]["annotations"].get(ANNOTATION_CLAIMED),
        }
        return {
            **{what: datetime.fromisoformat(at).timestamp() for what, at in noted.items() if at},
            **sidecar_steps(status),
        }

    async def over(self, room: str) -> None:
        """Wait until the session of a room has ended and its pod is gone."""

        async def gone() -> bool:
            session = await self.session_of(room)
            if session is None:
                return True
            if session.get("status", {}).get("phase") not in ("Ended", "Failed"):
                return False
            selector = f"voicepod.dev/session={session['metadata']['name']}"
            return not await self.stage.kube.list_all(PODS, self.stage.namespace, selector)

        await eventually(f"the session of {room} is over", gone)


def sidecar_steps(status: PodStatus) -> dict[str, float]:
    """Return what a sidecar noted of the way of its call."""
    at = status.at
    noted = {
        "sidecar assigned": at.assigned,
        "agent accepted": at.accepted,
        "token dispatched": at.dispatched,
        "agent joined": at.joined,
    }
    return {what: moment for what, moment in noted.items() if moment}


class Operated(Way):
    """A call that LiveKit's webhook tells voicepod of."""

    def __init__(self, platform: Platform, name: str, what: str, agent: str, prefix: str) -> None:
        self.name, self.what, self.prefix = name, what, prefix
        self.server = platform.stage.server
        self._platform = platform
        self._agent = agent

    async def steps(self, room: str) -> Mapping[str, float]:
        """Return the steps from the session on."""
        return await self._platform.steps(room)

    async def over(self, room: str) -> None:
        """Wait for the end of session and pod."""
        await self._platform.over(room)


class Warm(Operated):
    """(a): a pool of warm pods."""

    async def ready(self) -> None:
        """Wait until the pool is full."""

        async def full() -> bool:
            return await self._platform.warm(self._agent)

        await eventually(f"the pool of {self._agent} is full", full)


class Cold(Operated):
    """(e): no pool."""

    async def ready(self) -> None:
        """Nothing is to be there."""


class Token(Warm):
    """(b): the caller's token comes from the gateway, which prepares the session."""

    async def token(self, room: str) -> str:
        """Ask the token endpoint, as the client SDKs do."""
        url = f"http://{self._platform.stage.cluster.gateway_ip}:9552/token"
        body = {"room_name": room, "participant_identity": "caller"}
        async with self._platform.stage.http.post(url, json=body) as response:
            response.raise_for_status()
            return str((await response.json())["participant_token"])


def _ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
