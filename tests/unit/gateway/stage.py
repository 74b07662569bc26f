"""The gateway's real code between an API server and a LiveKit in memory."""

import base64
import hashlib
import io
import itertools
import json
import time
from datetime import UTC, datetime
from typing import Any

import jwt
from aiohttp.test_utils import TestClient, TestServer

from tests.support.fake_kube import Call, FakeKube, put_secret
from tests.support.fake_livekit import FakeLiveKit
from voicepod.api.names import ANNOTATION_ROOM_CHANGED
from voicepod.gateway.directory import Directory
from voicepod.gateway.hints import Hints
from voicepod.gateway.hook import Admission, anonymous
from voicepod.gateway.http import create_app
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.notices import Notices
from voicepod.gateway.origins import Origins
from voicepod.gateway.preparation import Preparation
from voicepod.gateway.reception import Reception
from voicepod.gateway.sessions import Sessions
from voicepod.gateway.sweep import Sweep
from voicepod.gateway.tokens import Tokens, token_door
from voicepod.gateway.webhooks import Webhooks, webhook_door
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS, Object
from voicepod.kube.events import Events, Note, Regarding
from voicepod.livekit.credentials import Credentials

OURS = Credentials("ws://livekit", "our-key", "our-secret-of-at-least-32-characters")
THEIRS = Credentials("ws://livekit", "their-key", "their-secret-of-at-least-32-characters")

PAGE = "https://app.example.com"
"""The origin of the platform's own web page."""

Answer = tuple[int, dict[str, Any]]


class NotedEvents(Events):
    """Keeps what is posted."""

    def __init__(self, kube: FakeKube) -> None:
        super().__init__(kube, "test", lambda: datetime.now(UTC))
        self.notes: list[tuple[str, Note]] = []

    def post(self, about: Regarding, note: Note) -> None:
        self.notes.append((f"{about.namespace}/{about.name}", note))


class FakeHints(Hints):
    """The operator, which is away unless a test says otherwise."""

    def __init__(self) -> None:
        self.there = False
        self.took: list[tuple[str, str]] = []

    async def taken(self, session: tuple[str, str]) -> bool:
        if self.there:
            self.took.append(session)
        return self.there


class Stage:
    """One gateway and its surroundings; ``patience`` is in seconds.

    With ``beside`` it is one more gateway on the API server and the LiveKit of another one.
    """

    def __init__(
        self,
        admission: Admission | None = anonymous,
        patience: float = 60.0,
        beside: "Stage | None" = None,
    ) -> None:
        self.now = time.time()
        self.kube: FakeKube = beside.kube if beside else FakeKube()
        self.livekit: FakeLiveKit = beside.livekit if beside else FakeLiveKit()
        self.directory = Directory(lambda: self.now)
        self.directory.filled = True
        self.events = NotedEvents(self.kube)
        self.metrics = Metrics()
        self.keyring = Keyring(self.kube, self.directory, lambda: self.now)
        sessions = Sessions(self.kube, self.directory, Notices(self.events))
        self.operator = FakeHints()
        reception = Reception(
            self.kube,
            self.directory,
            self.keyring,
            self.livekit,
            sessions,
            self.operator,
            lambda: self.now,
        )
        self.sweep = Sweep(self.directory, self.keyring, self.livekit, reception, self.metrics)
        self.webhooks = Webhooks(
            webhook_door(self.directory), self.keyring, reception, self.metrics
        )
        self.tokens = admission and Tokens(
            token_door(self.directory),
            Origins([PAGE]),
            admission,
            self.directory,
            self.keyring,
            Preparation(self.directory, self.keyring, sessions, patience),
            self.metrics,
        )
        app = create_app(self.directory, self.metrics.registry, self.webhooks, self.tokens)
        self.client = TestClient(TestServer(app))
        self.kube.watch(
            VOICE_AGENTS, lambda type_, raw: self.directory.see_agent(raw, type_ == "DELETED")
        )
        self.behind: list[tuple[Object, bool]] | None = None
        """What the watch of sessions has yet to tell; None: it tells at once."""
        self.kube.watch(VOICE_SESSIONS, self._session_changed)
        self._ids = itertools.count(1)

    def _session_changed(self, type_: str, raw: Object) -> None:
        if self.behind is None:
            self.directory.see_session(raw, type_ == "DELETED")
        else:
            self.behind.append((raw, type_ == "DELETED"))

    def catch_up(self) -> None:
        """Have the watch of sessions tell what it has yet to tell."""
        news, self.behind = self.behind or [], []
        for raw, deleted in news:
            self.directory.see_session(raw, deleted)

    def add_agent(
        self,
        name: str = "ada",
        *rooms: dict[str, str],
        namespace: str = "voice",
        credentials: Credentials = OURS,
        created: str = "2026-01-01T00:00:00Z",
    ) -> None:
        """Make a VoiceAgent, and the Secret it names; by default it wants every room."""
        put_secret(
            self.kube,
            namespace,
            f"{name}-keys",
            LIVEKIT_API_KEY=credentials.key,
            LIVEKIT_API_SECRET=credentials.secret,
        )
        spec = {
            "livekit": {
                "url": credentials.url,
                "credentialsSecretRef": {"name": f"{name}-keys"},
            },
            "template": {"spec": {"containers": [{"name": "agent"}]}},
            "rooms": list(rooms) or [{"regex": ".*"}],
        }
        metadata = {"name": name, "creationTimestamp": created}
        self.kube.put(VOICE_AGENTS, namespace, {"metadata": metadata, "spec": spec})

    def add_session(
        self, name: str = "by-hand", room: str = "lobby", sid: str = "", agent: str = "ada"
    ) -> None:
        """Make a VoiceSession as somebody does with kubectl."""
        spec = {"agentRef": {"name": agent}, "room": room, "roomSid": sid}
        self.kube.put(VOICE_SESSIONS, "voice", {"metadata": {"name": name}, "spec": spec})

    def remove_session(self, name: str = "by-hand") -> None:
        """Delete a VoiceSession as somebody does with kubectl."""
        self.kube.remove(VOICE_SESSIONS, "voice", name)

    def set_status(self, phase: str, caller_there: bool = False, **status: Any) -> None:
        """Have the operator write a status to the latest session."""
        session = self.sessions()[-1]
        times = {"caller": "2026-01-01T00:00:00.000Z"} if caller_there else {}
        session["status"] = {"phase": phase, "times": times, **status}
        self.kube.put(VOICE_SESSIONS, session["metadata"]["namespace"], session)

    def sessions(self) -> list[Object]:
        """Return all VoiceSessions."""
        return self.kube.objects(VOICE_SESSIONS)

    def session_writes(self) -> list[Call]:
        """Return all requests that were to change a VoiceSession."""
        return [call for call in self.kube.writes() if call.plural == "voicesessions"]

    def touched_for(self) -> list[str]:
        """Return for each VoiceSession the id of the event it was last touched for."""
        return [
            session["metadata"].get("annotations", {}).get(ANNOTATION_ROOM_CHANGED, "")
            for session in self.sessions()
        ]

    async def send(
        self,
        event: str,
        room: str = "lobby",
        sid: str = "RM_1",
        kind: str = "STANDARD",
        credentials: Credentials = OURS,
        age: float = 0,
        id_: str = "",
    ) -> Answer:
        """Send a webhook as LiveKit does."""
        body: dict[str, Any] = {
            "event": event,
            "room": {"sid": sid, "name": room},
            "id": id_ or f"EV_{next(self._ids)}",
            "createdAt": str(int(self.now - age)),
        }
        if event.startswith("participant"):
            body["participant"] = {"sid": "PA_1", "identity": "bob", "kind": kind}
        raw = json.dumps(body).encode()
        return await self.post(raw, sign(raw, credentials))

    async def post(self, body: bytes, authorization: str | None) -> Answer:
        """POST something to the webhook's path."""
        headers = {"Content-Type": "application/webhook+json"}
        if authorization is not None:
            headers["Authorization"] = authorization
        data = io.BytesIO(body)
        async with self.client.post("/livekit/webhook", data=data, headers=headers) as response:
            return response.status, await response.json()

    def count(self, event: str, outcome: str) -> float:
        """Return how many webhooks were counted so."""
        labels = {"event": event, "outcome": outcome}
        return (
            self.metrics.registry.get_sample_value("voicepod_gateway_webhooks_total", labels) or 0.0
        )


def sign(body: bytes, credentials: Credentials = OURS) -> str:
    """Return the Authorization header of a webhook."""
    claims = {
        "iss": credentials.key,
        "exp": int(time.time()) + 3600,  # collected long before it is run
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    return jwt.encode(claims, credentials.secret, algorithm="HS256")
