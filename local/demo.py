"""`make demo`: one call on real parts, told as it happens, then laid out as a timeline.

The demo is an ordinary user: it installs the chart, applies a VoiceAgent, and calls. Whatever it
tells comes from what the caller hears and from what the API server says of the session.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import datetime
from typing import Any

import local
from local import chart
from local.caller import SPEECH, Caller, join_token
from local.cluster import Cluster
from local.layout import REPOSITORY
from local.progress import console, step
from voicepod.kube import client
from voicepod.kube.client import PODS, VOICE_SESSIONS, Kube
from voicepod.kube.errors import NotFound

NAMESPACE = "voice"
AGENT = "hello"
RECORDING = REPOSITORY / "out/demo.wav"

# In seconds. A cold pod takes some five on a quiet machine; this is for one that is not.
PATIENCE = 120.0

# In seconds: often enough to show each phase, and little work for the API server.
LOOK_EVERY = 0.1


class Session:
    """The call's VoiceSession, watched until its pod is gone."""

    def __init__(self, kube: Kube, room: str, dialed: float) -> None:
        self._kube = kube
        self._room = room
        self._dialed = dialed
        self.status: dict[str, Any] = {}
        self.name = ""
        self.pod_gone = 0.0

    async def watch(self) -> None:
        """Tell each phase as it comes; return when the pod is gone."""
        phase = None
        while not self.pod_gone:
            await self._look()
            if self.status.get("phase") != phase:
                phase = self.status["phase"]
                reason = self.status.get("reason", "")
                self._tell(f"{phase:<13} {reason:<18} {self.status.get('message', '')}")
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        if not self.name:
            for item in await self._kube.list_all(VOICE_SESSIONS, NAMESPACE):
                if item["spec"]["room"] == self._room:
                    self.name = item["metadata"]["name"]
                    self._tell(f"session {self.name}")
        if self.name:
            found = await self._kube.get(VOICE_SESSIONS, NAMESPACE, self.name)
            self.status = found.get("status", {"phase": "Pending"})
        if self.status.get("phase") in ("Ended", "Failed"):
            try:
                await self._kube.get(PODS, NAMESPACE, self.status["pod"])
            except NotFound:
                self.pod_gone = time.time()

    def _tell(self, line: str) -> None:
        console.print(f"  {time.time() - self._dialed:6.2f} s  {line}", markup=False)


async def run() -> None:
    """Set everything up, call, and tell. Raises LocalError when something does not come about."""
    cluster = local.up()
    for image in (local.OPERATOR, local.AGENT):
        local.build(image)
    chart.install(cluster)
    chart.make_namespace(cluster, NAMESPACE)
    # From nothing, however often: no pod of an earlier run's image is to take the call.
    chart.kubectl(
        cluster, "delete", "voiceagent", AGENT, "--namespace", NAMESPACE, "--ignore-not-found"
    )
    chart.apply(
        cluster,
        chart.voice_agent(
            cluster, NAMESPACE, AGENT, rooms=[{"prefix": f"{AGENT}-"}], pool={"min": 1, "max": 2}
        ),
    )
    with step("waiting for a warm pod"):
        chart.kubectl(
            cluster,
            *("wait", "--for=jsonpath={.status.warm}=1", "--timeout=120s"),
            *("voiceagent", AGENT, "--namespace", NAMESPACE),
        )
    async with client.connect(cluster.kubeconfig) as kube:
        await _call(cluster, kube)


async def _call(cluster: Cluster, kube: Kube) -> None:
    room = f"{AGENT}-{secrets.token_hex(3)}"
    key, secret = cluster.livekit_api_key, cluster.livekit_api_secret
    caller = Caller(cluster.livekit_url, join_token(key, secret, room, "robert"))
    console.print(f"\nrobert joins room {room}", markup=False)
    session = Session(kube, room, time.time())
    watching = asyncio.create_task(session.watch())
    try:
        async with asyncio.timeout(PATIENCE):
            async with caller:
                greeted = await caller.heard_speech()
                await caller.heard_silence(after=greeted)
                asked = await caller.say(SPEECH / "hours.wav")
                replied = await caller.heard_speech(after=asked)
                await caller.heard_silence(after=replied)
            left = time.time()
            await watching
    except TimeoutError:
        raise local.LocalError(_why_not(session)) from None
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    RECORDING.parent.mkdir(exist_ok=True)
    caller.save(RECORDING)
    _report(caller, session, greeted, asked, replied, left)


def _why_not(session: Session) -> str:
    if not session.name:
        return (
            f"no VoiceSession was made within {PATIENCE:.0f} s; see the gateway's log:\n"
            f"  kubectl logs --namespace {chart.NAMESPACE} deployment/voicepod-gateway"
        )
    return (
        f"the call did not get through within {PATIENCE:.0f} s: {session.status.get('message')}\n"
        f"  kubectl describe voicesession --namespace {NAMESPACE} {session.name}"
    )


def _report(
    caller: Caller,
    session: Session,
    greeted: float,
    asked: float,
    replied: float,
    left: float,
) -> None:
    times = {name: _unix(text) for name, text in session.status["times"].items()}
    happened = {
        "robert dials": caller.dialed,
        "robert is in the room": caller.joined,
        "webhook: the session is made": times["received"],
        "the session has its pod": times["claimed"],
        "the agent has the job": times["assigned"],
        "the agent is in the room": times["joined"],
        "robert hears the greeting": greeted,
        "robert has asked for the hours": asked,
        "robert hears the reply": replied,
        "robert hangs up": left,
        "the session is over": times["ended"],
        "the pod is gone": session.pod_gone,
    }
    console.print("\nthe call in milliseconds")
    for what, at in sorted(happened.items(), key=lambda item: item[1]):
        console.print(f"  {(at - caller.dialed) * 1000:8.0f}  {what}")
    console.print("\nwhat was said")
    for line in caller.transcript:
        console.print(f"  {line.identity}: {line.text}", markup=False)
    console.print(
        f"""
what robert heard is in {RECORDING.relative_to(REPOSITORY)}; go on with
  eval "$(.venv/bin/python -m local env)"
  kubectl get vs --namespace {NAMESPACE}
  kubectl describe vs --namespace {NAMESPACE} {session.name}
  kubectl explain voicesession.spec
  kubectl get va --namespace {NAMESPACE} --output wide
  make clean-cluster
""",
        markup=False,
    )
    print(
        f"demo: ok joined={(times['joined'] - caller.dialed) * 1000:.0f}ms "
        f"greeting={(greeted - caller.dialed) * 1000:.0f}ms "
        f"reply={(replied - asked) * 1000:.0f}ms "
        f"pod-gone={session.pod_gone - left:.1f}s"
    )


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
