"""Sessions, agents and pods as the reconciler sees them: only what is read, from plain JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicepod.api.agent import VoiceAgentSpec, VoiceAgentStatus
from voicepod.api.conditions import Reason, shorten
from voicepod.api.names import (
    AGENT_CONTAINER,
    ANNOTATION_GENERATION,
    ANNOTATION_ROOM_CHANGED,
    LABEL_SESSION,
)
from voicepod.api.session import VoiceSessionSpec, VoiceSessionStatus

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a session from going on."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Session:
    """A VoiceSession as the API server has it."""

    key: Key
    uid: str
    version: int
    created: datetime
    deleting: bool
    room_changed: str
    spec: VoiceSessionSpec
    status: VoiceSessionStatus


@dataclass(frozen=True, slots=True)
class Agent:
    """A VoiceAgent as the API server has it."""

    key: Key
    uid: str
    version: int
    generation: int
    spec: VoiceAgentSpec
    status: VoiceAgentStatus


@dataclass(frozen=True, slots=True)
class Pod:
    """An agent pod as the API server has it."""

    key: Key
    uid: str
    version: int
    session: Key
    owner: str
    """Uid of the session: another one may have its name by now."""
    generation: int
    created: datetime
    ip: str
    node: str
    ready: bool
    deleting: bool
    finished: bool
    """It will never run (again): its agent has ended, or the node gave it up."""
    problem: Problem | None
    """What the scheduler, the kubelet or the agent's last words say of a pod that is not ready."""


def parse_session(raw: Json) -> Session:
    """Parse a VoiceSession."""
    meta = raw["metadata"]
    return Session(
        key=(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        created=_moment(meta["creationTimestamp"]),
        deleting="deletionTimestamp" in meta,
        room_changed=meta.get("annotations", {}).get(ANNOTATION_ROOM_CHANGED, ""),
        spec=VoiceSessionSpec.model_validate(raw["spec"]),
        status=VoiceSessionStatus.model_validate(raw.get("status", {})),
    )


def parse_agent(raw: Json) -> Agent:
    """Parse a VoiceAgent."""
    meta = raw["metadata"]
    return Agent(
        key=(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        generation=meta.get("generation", 1),
        spec=VoiceAgentSpec.model_validate(raw["spec"]),
        status=VoiceAgentStatus.model_validate(raw.get("status", {})),
    )


def parse_pod(raw: Json) -> Pod:
    """Parse an agent pod."""
    meta, status = raw["metadata"], raw.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {}).get("status") == "True"
    (owner,) = (o["uid"] for o in meta["ownerReferences"] if o["kind"] == "VoiceSession")
    finished = status.get("phase") in ("Failed", "Succeeded") or _agent_ended(status)
    return Pod(
        key=(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        session=(meta["namespace"], meta["labels"][LABEL_SESSION]),
        owner=owner,
        generation=int(meta.get("annotations", {}).get(ANNOTATION_GENERATION, "1")),
        created=_moment(meta["creationTimestamp"]),
        ip=status.get("podIP", ""),
        node=raw["spec"].get("nodeName", ""),
        ready=ready and not finished,
        deleting="deletionTimestamp" in meta,
        finished=finished,
        problem=None if ready and not finished else _problem(status, conditions),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _agent_status(status: Json) -> Json:
    for container in status.get("containerStatuses", []):
        if container["name"] == AGENT_CONTAINER:
            state: Json = container.get("state", {})
            return state
    return {}


def _agent_ended(status: Json) -> bool:
    # Agent pods never restart their agent, so one that has terminated stays so; the pod itself
    # becomes Failed or Succeeded only after its sidecar has gone as well.
    return "terminated" in _agent_status(status)


def _problem(status: Json, conditions: dict[str, Json]) -> Problem:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("reason") == "Unschedulable":
        return Problem(Reason.POD_UNSCHEDULABLE, f"no node takes the pod: {scheduled['message']}")
    if ended := _agent_status(status).get("terminated"):
        return Problem(Reason.AGENT_CRASHED, _last_words(ended))
    containers = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    for container in containers:
        if problem := _waiting(container["name"], container.get("state", {}).get("waiting", {})):
            return problem
    if status.get("phase") == "Failed":
        words = status.get("message") or status.get("reason") or "no reason is given"
        return Problem(Reason.CONTAINER_FAILED, f"the pod failed: {words}")
    if "running" in _agent_status(status):
        return Problem(
            Reason.AGENT_NOT_REGISTERED,
            "the container 'agent' runs, but no agent has registered yet; see its log",
        )
    return Problem(Reason.POD_STARTING, "the pod is starting")


def _waiting(container: str, waiting: Json) -> Problem | None:
    reason = waiting.get("reason", "")
    if reason in ("", "ContainerCreating", "PodInitializing"):
        return None
    words = f"container '{container}': {reason}: {waiting.get('message', 'no message')}"
    image = "Image" in reason
    return Problem(Reason.IMAGE_PULL_FAILED if image else Reason.CONTAINER_FAILED, words)


def _last_words(ended: Json) -> str:
    code = ended.get("exitCode")
    words = shorten(ended.get("message") or ended.get("reason") or "")
    return f"the container 'agent' exited with code {code}: {words or 'it said nothing'}"
