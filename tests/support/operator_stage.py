"""The operator's real reconcilers between an API server, sidecars and a LiveKit in memory.

It is to be run ``in_hours``: the operator's clock is that of the event loop.
"""

import asyncio
import copy
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Self

from tests.support.fake_kube import Call, FakeKube, put_secret
from tests.support.fake_livekit import FakeLiveKit
from tests.support.fake_pods import FakePods, FakeSidecar
from tests.support.hours import now
from tests.support.operator_parts import OperatorParts
from voicepod.api.names import ANNOTATION_ROOM_CHANGED
from voicepod.api.session import VoiceSessionStatus
from voicepod.handlers.listing import Listing
from voicepod.kube.client import NODES, PODS, VOICE_AGENTS, VOICE_SESSIONS, Object
from voicepod.kube.events import Events, Note, Regarding
from voicepod.livekit.rooms import Room

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
URL: Final = "ws://livekit"
ROOM: Final = "a room"
SID: Final = "RM_1"


def clock() -> datetime:
    """What the operator takes for now: noon, and the seconds of the loop."""
    return NOON + timedelta(seconds=now())


class NotedEvents(Events):
    """Keeps what is posted."""

    def __init__(self, kube: FakeKube) -> None:
        super().__init__(kube, "test", clock)
        self.notes: list[tuple[str, Note]] = []

    def post(self, about: Regarding, note: Note) -> None:
        self.notes.append((about.kind, note))


class Stage:
    """One operator and its surroundings."""

    limits: Mapping[str, int] = MappingProxyType({})
    """The operator's own, by namespace."""

    def __init__(self, **limits: int) -> None:
        self.kube, self.limits = FakeKube(clock), limits
        self.livekit = FakeLiveKit()
        self.pods = FakePods(clock, self.livekit.join)
        self.events = NotedEvents(self.kube)
        self.start_operator()

    def start_operator(self) -> None:
        """Make an operator that knows nothing."""
        parts = OperatorParts(self.kube, self.pods, self.livekit, self.events, clock, self.limits)
        self.world, self.queue, self.metrics = parts.world, parts.queue, parts.metrics
        self.intake, self.sessions, self.pools = parts.intake, parts.sessions, parts.pools
        self.work = parts.loop

    async def __aenter__(self) -> Self:
        for resource, kind in (
            (VOICE_AGENTS, "agent"),
            (VOICE_SESSIONS, "session"),
            (PODS, "pod"),
            (NODES, "node"),
        ):
            self.kube.watch(resource, partial(self._changed, kind))
        self._loop = asyncio.create_task(self._operator())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_operator()

    async def _operator(self, listing: Listing | None = None) -> None:
        self.intake.take_over()
        async with asyncio.TaskGroup() as group:
            if listing:
                group.create_task(listing.rest())
            await self.work.run()

    async def begin_to_lead(self) -> None:
        """Have an operator that knows nothing lead from now on."""
        listing = Listing(self.intake, self.kube, [])
        await listing.first()
        self._loop = asyncio.create_task(self._operator(listing))

    async def stop_operator(self) -> None:
        """End the operator wherever it is."""
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)

    async def restart_operator(self) -> None:
        """End the operator wherever it is, and start another one that has to find its way."""
        await self.stop_operator()
        self.start_operator()
        await self.begin_to_lead()

    def _changed(self, kind: str, type_: str, item: Object) -> None:
        getattr(self.intake, kind)(item, deleted=type_ == "DELETED")

    def apply_agent(self, **spec: Any) -> None:
        """Apply the VoiceAgent ``desk`` and its Secret."""
        self.apply_key("a-secret-of-at-least-32-characters")
        template = {"spec": {"containers": [{"name": "agent", "image": "desk"}]}}
        livekit = {"url": URL, "credentialsSecretRef": {"name": "keys"}}
        body = {"livekit": livekit, "template": template} | spec
        item = {"metadata": {"name": "desk"}, "spec": body}
        status = [
            {"status": old["status"]} for old in self.kube.objects(VOICE_AGENTS) if "status" in old
        ]
        self.kube.put(VOICE_AGENTS, "voice", {**item, **next(iter(status), {})})

    def apply_key(self, secret: str) -> None:
        """Apply the Secret with LiveKit's key pair."""
        put_secret(self.kube, "voice", "keys", LIVEKIT_API_KEY="key", LIVEKIT_API_SECRET=secret)

    def make_session(
        self, name: str = "call", labels: Mapping[str, str] | None = None, **spec: Any
    ) -> None:
        """Make a VoiceSession, as the gateway does."""
        body = {"agentRef": {"name": "desk"}, "room": ROOM, "roomSid": SID} | spec
        metadata = {"name": name, "labels": labels or {}}
        self.kube.put(VOICE_SESSIONS, "voice", {"metadata": metadata, "spec": body})

    def callers(self, *identities: str) -> None:
        """Have these callers in the room."""
        agents = self.livekit.rooms.get(ROOM, Room(ROOM)).others
        self.livekit.rooms[ROOM] = Room(ROOM, SID, frozenset(identities), agents)

    def touch(self, event: str, name: str = "call") -> None:
        """Say that the room has changed, as the gateway does."""
        item = self._find(VOICE_SESSIONS, name)
        item["metadata"]["annotations"] = {ANNOTATION_ROOM_CHANGED: event}
        self.kube.put(VOICE_SESSIONS, "voice", item)

    def edit_session(self, name: str = "call", **spec: Any) -> None:
        """Edit a VoiceSession, as a user does."""
        item = self._find(VOICE_SESSIONS, name)
        self.kube.put(VOICE_SESSIONS, "voice", {**item, "spec": item["spec"] | spec})

    def cordon(self, node: str, cordoned: bool = True) -> None:
        """Cordon a node, or undo it, as kubectl does."""
        body = {"metadata": {"name": node}, "spec": {"unschedulable": cordoned}}
        self.kube.put(NODES, "", body)

    def kubelet(self, status: Object, name: str = "call-1") -> None:
        """Have the kubelet tell of a pod."""
        item = self._find(PODS, name)
        status = {"podIP": "10.0.0.1", **copy.deepcopy(status)}
        self.kube.put(PODS, "voice", {**item, "status": status})

    def sidecar(self, name: str = "call-1") -> FakeSidecar:
        """The sidecar of a pod."""
        return self.pods[self._find(PODS, name)["metadata"]["uid"]]

    def hint(self, name: str = "call-1") -> bool:
        """Have a pod's sidecar say that something has happened."""
        return self.intake.hint(("voice", name))

    def status(self, name: str = "call") -> VoiceSessionStatus:
        """The status that the API server has of a session."""
        return VoiceSessionStatus.model_validate(self._find(VOICE_SESSIONS, name).get("status", {}))

    def pod_names(self) -> list[str]:
        """The pods that are there."""
        return [item["metadata"]["name"] for item in self.kube.objects(PODS)]

    def session_writes(self) -> list[Call]:
        """What was written for sessions: all but the statuses and the checks of VoiceAgents."""
        return [
            call
            for call in self.kube.writes()
            if call.plural != VOICE_AGENTS.plural and call.name != "check-1"
        ]

    def story(self) -> list[str]:
        """The reasons of the Events of sessions, in their order."""
        return [note.reason for kind, note in self.events.notes if kind == "VoiceSession"]

    def _find(self, resource: Any, name: str) -> Object:
        for item in self.kube.kept(resource):
            if item["metadata"]["name"] == name:
                return copy.deepcopy(item)
        raise AssertionError(f"there is no {resource.plural} {name}")
