"""What ``decide`` can be shown: a session, its pod, its call and its room, at seconds from noon."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from voicepod.api.conditions import Condition, ConditionType, Reason, condition
from voicepod.api.lifecycle import Lifecycle
from voicepod.api.session import (
    AgentRef,
    Phase,
    PodSeconds,
    Times,
    VoiceSessionSpec,
    VoiceSessionStatus,
)
from voicepod.assignment.messages import (
    AgentInfo,
    End,
    EndReason,
    JobInfo,
    PodState,
    PodStatus,
    Timestamps,
)
from voicepod.livekit.rooms import Room
from voicepod.livekit.tokens import agent_identity
from voicepod.reconcile.decide import decide
from voicepod.reconcile.draft import Observed
from voicepod.reconcile.objects import Packed, Pod, Problem, Session

NOON: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY: Final = ("voice", "call")
SID: Final = "RM_1"
ROOM: Final = "a room"
AGENT: Final = agent_identity(ROOM)
STARTING: Final = Problem(Reason.POD_STARTING, "the pod is starting")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def unix(seconds: float) -> float:
    return at(seconds).timestamp()


def session(end: bool = False, deleting: bool = False, room_sid: str = SID) -> Session:
    return Session(
        key=KEY,
        uid="session-uid",
        version=1,
        created=NOON,
        deleting=deleting,
        room_changed="",
        labels={},
        spec=VoiceSessionSpec(
            agent_ref=AgentRef(name="desk"), room=ROOM, room_sid=room_sid, end=end
        ),
        packed=Packed.of(VoiceSessionStatus()),
    )


def pod(**changes: Any) -> Pod:
    """A pod that is starting; with ``ready`` or ``finished`` it is as such a pod is."""
    values: dict[str, Any] = {
        "key": ("voice", "call-1"),
        "uid": "pod-uid",
        "version": 1,
        "agent": ("voice", "desk"),
        "session": KEY,
        "owner": "session-uid",
        "generation": 1,
        "template_hash": "",
        "created": NOON,
        "claimed": None,
        "ip": "10.0.0.1",
        "node": "node-1",
        "placed": None,
        "ready": False,
        "ready_since": None,
        "deleting": False,
        "finished": False,
        "problem": None if changes.get("ready") else STARTING,
    }
    return Pod(**(values | changes))


def call(
    state: PodState, end: str = "", closes_room: bool = False, idle: bool = False, **moments: float
) -> PodStatus:
    """What a sidecar says; moments are seconds from noon."""
    connected = state not in (PodState.STARTING, PodState.ENDED, PodState.LOST)
    return PodStatus(
        state=state,
        agent=AgentInfo(connected=connected),
        job=JobInfo("AJ_1", AGENT) if "dispatched" in moments else None,
        at=Timestamps(**{name: unix(moment) for name, moment in moments.items()}),
        end=End(EndReason.JOB_FINISHED, end) if end else None,
        room_deletion_requested=closes_room,
        idle=idle,
    )


def running(**more: Any) -> PodStatus:
    """What the sidecar says during a call whose agent joined three seconds after noon."""
    moments: dict[str, Any] = {
        "assigned": 2.0,
        "dispatched": 2.1,
        "joined": 3.0,
        "first_audio": 3.5,
    }
    return call(more.pop("state", PodState.RUNNING), **moments, **more)


def room(*callers: str, sid: str = SID, agent: bool = True) -> Room:
    return Room(ROOM, sid, frozenset(callers), frozenset({AGENT} if agent else ()))


CLOSED: Final = Room(ROOM)


def fresh(now: float = 0, **changes: Any) -> Observed:
    """A session of which nothing is known but that it is there."""
    values: dict[str, Any] = {
        "now": at(now),
        "session": session(),
        "status": VoiceSessionStatus(),
        "lifecycle": Lifecycle(),
    }
    return Observed(**(values | changes))


def starting(now: float = 1, **changes: Any) -> Observed:
    """Its pod was made at noon; a caller waits in the room."""
    status = VoiceSessionStatus(
        phase=Phase.STARTING,
        room_sid=SID,
        pod="call-1",
        generation=1,
        times=Times(received=NOON, claimed=NOON, caller=NOON),
        pod_seconds=PodSeconds(since=NOON),
    )
    values = {"status": status, "pod": pod(), "room": room("caller"), "room_seen": at(0)}
    return fresh(now, **(values | changes))


def in_call(now: float = 5, **changes: Any) -> Observed:
    """The agent joined three seconds after noon, and the caller is there."""
    before = starting(4, pod=pod(ready=True), call=running(), call_seen=at(4))
    values = {
        "status": decide(before).status,
        "pod": before.pod,
        "call": before.call,
        "call_seen": before.call_seen,
    }
    return starting(now, **(values | changes))


def alone(now: float = 10, since: float = 10, **changes: Any) -> Observed:
    """The caller left ``since`` seconds after noon; the room was looked at then."""
    before = in_call(since, room=room(), room_seen=at(since))
    values = {"status": decide(before).status, "room": room(), "room_seen": at(since)}
    return in_call(now, **(values | changes))


def ending(now: float = 20, **changes: Any) -> Observed:
    """``spec.end`` was set twenty seconds after noon, and the agent is saying goodbye."""
    before = in_call(20, session=session(end=True))
    values = {
        "status": decide(before).status,
        "session": before.session,
        "call": running(state=PodState.ENDING),
        "call_seen": at(20),
    }
    return in_call(now, **(values | changes))


def condition_of(status: VoiceSessionStatus, type_: ConditionType) -> Condition:
    found = condition(status.conditions, type_)
    assert found is not None
    return found
