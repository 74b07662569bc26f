"""Agent pods as a real API server tells of them, cut down to what a reader has to see."""

import copy
from typing import Any, Final

Json = dict[str, Any]

_IMAGE: Final = "registry.example/desk:1"


def pod(
    phase: str,
    containers: list[Json],
    conditions: list[Json],
    init: list[Json] | None = None,
    **more: Any,
) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "call-1",
            "namespace": "voice",
            "uid": "5f3c1e1e-0000-4000-8000-000000000001",
            "resourceVersion": "4711",
            "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": {"voicepod.dev/agent": "desk", "voicepod.dev/session": "call"},
            "ownerReferences": [
                {
                    "apiVersion": "voicepod.dev/v1alpha1",
                    "kind": "VoiceSession",
                    "name": "call",
                    "uid": "session-uid",
                    "controller": True,
                }
            ],
            "annotations": {"voicepod.dev/generation": "2", "voicepod.dev/room": "a room"},
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "agent"}]},
        "status": {
            "phase": phase,
            "conditions": conditions,
            "initContainerStatuses": init if init is not None else [container("voicepod", RUNNING)],
            "containerStatuses": containers,
            **more,
        },
    }


def made_from(raw: Json) -> Json:
    """Return a copy without what the API server gives a pod, for one to be made from."""
    own = ("uid", "namespace", "resourceVersion")
    made = copy.deepcopy(raw)
    made["metadata"] = {key: value for key, value in made["metadata"].items() if key not in own}
    return made


def container(name: str, state: Json, ready: bool = False) -> Json:
    return {
        "name": name,
        "image": _IMAGE,
        "ready": ready,
        "restartCount": 0,
        "started": "running" in state,
        "lastState": {},
        "state": state,
    }


def waiting(reason: str, message: str = "") -> Json:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def terminated(code: int, reason: str, message: str = "") -> Json:
    ended = {
        "exitCode": code,
        "reason": reason,
        "startedAt": "2026-01-01T12:00:02Z",
        "finishedAt": "2026-01-01T12:00:05Z",
        "containerID": "containerd://0123",
    }
    return {"terminated": {**ended, **({"message": message} if message else {})}}


def condition(type_: str, status: str, reason: str = "", message: str = "") -> Json:
    more = {"reason": reason, "message": message} if reason else {}
    return {
        "type": type_,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": "2026-01-01T12:00:01Z",
        **more,
    }


RUNNING: Final = {"running": {"startedAt": "2026-01-01T12:00:02Z"}}
SCHEDULED: Final = condition("PodScheduled", "True")
NOT_READY: Final = [
    SCHEDULED,
    condition("Ready", "False", "ContainersNotReady", "containers with unready status: [agent]"),
]
READY_: Final = [SCHEDULED, condition("Ready", "True")]

NEW: Final = pod("Pending", [], [], [])
CREATING: Final = pod("Pending", [container("agent", waiting("PodInitializing"))], NOT_READY)
UNSCHEDULABLE: Final = pod(
    "Pending",
    [],
    [
        condition(
            "PodScheduled",
            "False",
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient cpu.",
        )
    ],
    [],
)
PULLING: Final = pod(
    "Pending",
    [
        container(
            "agent", waiting("ImagePullBackOff", 'Back-off pulling image "registry.example/desk:1"')
        )
    ],
    NOT_READY,
)
BAD_SIDECAR_IMAGE: Final = pod(
    "Pending",
    [container("agent", waiting("PodInitializing"))],
    NOT_READY,
    [container("voicepod", waiting("ErrImageNeverPull", "Container image is not present"))],
)
BAD_CONFIG: Final = pod(
    "Pending",
    [container("agent", waiting("CreateContainerConfigError", 'secret "keys" not found'))],
    NOT_READY,
)
CRASH_LOOPING_SIDECAR: Final = pod(
    "Pending",
    [container("agent", waiting("PodInitializing"))],
    NOT_READY,
    [
        container(
            "voicepod", waiting("CrashLoopBackOff", "back-off 10s restarting failed container")
        )
    ],
)
CRASHED: Final = pod(
    "Running",
    [container("agent", terminated(1, "Error", "ModuleNotFoundError: No module named 'livekit'"))],
    NOT_READY,
)
KILLED: Final = pod("Running", [container("agent", terminated(137, "OOMKilled"))], NOT_READY)
EVICTED: Final = pod(
    "Failed",
    [],
    NOT_READY,
    [],
    reason="Evicted",
    message="The node was low on resource: memory.",
)
RUNS: Final = pod("Running", [container("agent", RUNNING)], NOT_READY, podIP="10.0.0.1")
IS_READY: Final = pod("Running", [container("agent", RUNNING, True)], READY_, podIP="10.0.0.1")
COMPLETED: Final = pod(
    "Succeeded", [container("agent", terminated(0, "Completed"))], NOT_READY, podIP="10.0.0.1"
)
