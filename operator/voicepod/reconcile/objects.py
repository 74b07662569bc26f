"""Sessions, agents and pods as the reconciler sees them: only what is read, from plain JSON.

A status is read when something happens to its session, and of ten thousand calls that go on, to
nearly none. So it is kept packed, as JSON: in an eighth of the memory, and nothing that the garbage
collector has to look through.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from voicepod.api.agent import VoiceAgentSpec, VoiceAgentStatus
from voicepod.api.conditions import Reason, shorten
from voicepod.api.names import (
    AGENT_CONTAINER,
    ANNOTATION_CLAIMED,
    ANNOTATION_GENERATION,
    ANNOTATION_ROOM_CHANGED,
    ANNOTATION_TEMPLATE_HASH,
    LABEL_AGENT,
    LABEL_SESSION,
)
from voicepod.api.session import Phase, VoiceSessionSpec, VoiceSessionStatus

Json = dict[str, Any]
Key = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps a session from going on."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A VoiceSession's status in little room, and its phase, which is asked for alone."""

    phase: Phase
    data: bytes

    @classmethod
    def of(cls, status: VoiceSessionStatus) -> "Packed":
        """Pack a status; its moments are cut to the millisecond."""
        data = status.model_dump_json(by_alias=True, exclude_none=True).encode()
        return cls(status.phase, data)

    def unpack(self) -> VoiceSessionStatus:
        """Return the status."""
        return VoiceSessionStatus.model_validate_json(self.data)


@dataclass(frozen=True, slots=True)
class Session:
    """A VoiceSession as the API server has it."""

    key: Key
    uid: str
    version: int
    created: datetime
    deleting: bool
    room_changed: str
    labels: Mapping[str, str]
    spec: VoiceSessionSpec
    packed: Packed

    @property
    def status(self) -> VoiceSessionStatus:
        """Its status, unpacked anew each time."""
        return self.packed.unpack()

    @property
    def agent(self) -> Key:
        """Its VoiceAgent, which need not be there."""
        return self.key[0], self.spec.agent_ref.name


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
    agent: Key
    session: Key | None
    """None: it is warm, or on its way to be, and waits for a session."""
    owner: str
    """Uid of the session, or of the VoiceAgent: another one may have the name by now."""
    generation: int
    template_hash: str
    """What a pod was built from that was started for no session; "" for any other."""
    created: datetime
    claimed: datetime | None
    """When a session claimed it; None for a pod that was started for its session."""
    ip: str
    node: str
    placed: datetime | None
    """When it was given its node, or the scheduler began to make room for it; to a second."""
    ready: bool
    ready_since: datetime | None
    """As precise as the kubelet is: a second."""
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
        labels=meta.get("labels", {}),
        spec=VoiceSessionSpec.model_validate(raw["spec"]),
        packed=Packed.of(VoiceSessionStatus.model_validate(raw.get("status", {}))),
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
    annotations, labels = meta.get("annotations", {}), meta["labels"]
    conditions = {c["type"]: c for c in status.get("conditions", [])}
    ready = conditions.get("Ready", {}).get("status") == "True"
    kind = "VoiceSession" if LABEL_SESSION in labels else "VoiceAgent"
    (owner,) = (o["uid"] for o in meta["ownerReferences"] if o["kind"] == kind)
    finished = status.get("phase") in ("Failed", "Succeeded") or _agent_ended(status)
    return Pod(
        key=(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        version=int(meta["resourceVersion"]),
        agent=(meta["namespace"], labels[LABEL_AGENT]),
        session=(meta["namespace"], labels[LABEL_SESSION]) if LABEL_SESSION in labels else None,
        owner=owner,
        generation=int(annotations.get(ANNOTATION_GENERATION, "1")),
        template_hash=annotations.get(ANNOTATION_TEMPLATE_HASH, ""),
        created=_moment(meta["creationTimestamp"]),
        claimed=_moment(annotations[ANNOTATION_CLAIMED])
        if ANNOTATION_CLAIMED in annotations
        else None,
        ip=status.get("podIP", ""),
        node=raw["spec"].get("nodeName", ""),
        placed=_placed(status, conditions.get("PodScheduled")),
        ready=ready and not finished,
        ready_since=_since(conditions.get("Ready")),
        deleting="deletionTimestamp" in meta,
        finished=finished,
        problem=None if ready and not finished else _problem(status, conditions),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _since(condition: Json | None) -> datetime | None:
    """Return since when a condition is true, if it is."""
    if condition is None or condition["status"] != "True":
        return None
    return _moment(condition["lastTransitionTime"])


def _placed(status: Json, scheduled: Json | None) -> datetime | None:
    if scheduled and status.get("nominatedNodeName"):
        # Pods of a lower priority have to go there first, such as placeholders.
        return _moment(scheduled["lastTransitionTime"])
    return _since(scheduled)


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
