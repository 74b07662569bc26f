"""What the API server refuses at once, by the rules of the CRDs, and in which words."""

import pytest

from local import chart
from tests.cluster.stage import Json, Stage
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS
from voicepod.kube.errors import Refused

pytestmark = pytest.mark.cluster

NOBODY = {"spec": {"containers": [{"name": "somebody", "image": "any"}]}}

AGENTS: dict[str, tuple[Json, str]] = {
    "no container is called agent": ({"template": NOBODY}, "must have a container named 'agent'"),
    "two fields in a rule": ({"rooms": [{"name": "a", "prefix": "b"}]}, "set exactly one of"),
    "no field in a rule": ({"rooms": [{}]}, "set exactly one of"),
    "not an expression": ({"rooms": [{"regex": "("}]}, "not a valid RE2 expression"),
    "too long a deadline": (
        {"lifecycle": {"startDeadline": "2h"}},
        "startDeadline must be between 1s and 1h",
    ),
    "no time to call": (
        {"lifecycle": {"maxDuration": "0s"}},
        "maxDuration must be between 1s and 24h",
    ),
    "no time to talk": (
        {"lifecycle": {"maxDuration": "10s", "shutdownGrace": "10s"}},
        "maxDuration must be longer than shutdownGrace",
    ),
    "not a duration": ({"lifecycle": {"reconnectGrace": "soon"}}, "spec.lifecycle.reconnectGrace"),
    "two ways to tell a tenant": (
        {"capacity": {"tenantFrom": {"label": "tenant", "roomDelimiter": "-"}}},
        "set exactly one of label, roomDelimiter",
    ),
    "no place": ({"capacity": {"maxSessions": 0}}, "spec.capacity.maxSessions"),
    "no time to wait": (
        {"capacity": {"queueDeadline": "0s"}},
        "queueDeadline must be between 1s and 1h",
    ),
    "a pool that has no calls": (
        {"capacity": {"maxSessions": 1}, "pool": {"min": 2}},
        "pool.min must be at most capacity.maxSessions",
    ),
    "not a server": (
        {"livekit": {"url": "http://livekit", "credentialsSecretRef": {"name": "livekit"}}},
        "spec.livekit.url",
    ),
}

SESSIONS: dict[str, tuple[Json, str]] = {
    "no room": ({"room": ""}, "spec.room"),
    "too long a room": ({"room": "x" * 257}, "spec.room"),
    "too long a grace": (
        {"lifecycle": {"shutdownGrace": "11m"}},
        "shutdownGrace must be between 0s and 10m",
    ),
    "too urgent": ({"priority": 1001}, "spec.priority"),
    "too long an agent": ({"agentRef": {"name": "a" * 64}}, "spec.agentRef.name"),
}

CHANGES: dict[str, tuple[Json, str]] = {
    "another agent": ({"agentRef": {"name": "b"}}, "agentRef cannot be changed"),
    "another room": ({"room": "other"}, "room cannot be changed"),
    "other metadata": ({"metadata": "other"}, "metadata cannot be changed"),
    "going on": ({"end": False}, "end cannot be taken back"),
}


@pytest.mark.parametrize(("spec", "words"), AGENTS.values(), ids=AGENTS)
async def test_a_voiceagent_that_cannot_work_is_refused(
    stage: Stage, spec: Json, words: str
) -> None:
    manifest = chart.voice_agent(stage.cluster, stage.namespace, "bad", **spec)
    with pytest.raises(Refused, match=words):
        await stage.kube.create(VOICE_AGENTS, stage.namespace, manifest, dry_run=True)


@pytest.mark.parametrize(("spec", "words"), SESSIONS.values(), ids=SESSIONS)
async def test_a_voicesession_that_cannot_work_is_refused(
    stage: Stage, spec: Json, words: str
) -> None:
    manifest = stage.voice_session("bad", "nobody", **spec)
    with pytest.raises(Refused, match=words):
        await stage.kube.create(VOICE_SESSIONS, stage.namespace, manifest, dry_run=True)


async def test_names_that_no_label_could_hold_are_refused(stage: Stage) -> None:
    def agent(length: int) -> Json:
        return chart.voice_agent(stage.cluster, stage.namespace, "a" * length)

    def session(length: int) -> Json:
        return stage.voice_session("s" * length, "nobody", room="room")

    for resource, named, longest in ((VOICE_AGENTS, agent, 63), (VOICE_SESSIONS, session, 56)):
        await stage.kube.create(resource, stage.namespace, named(longest), dry_run=True)
        with pytest.raises(Refused, match=f"at most {longest} characters"):
            await stage.kube.create(resource, stage.namespace, named(longest + 1), dry_run=True)


async def test_what_a_session_is_cannot_be_changed(stage: Stage) -> None:
    await stage.apply_session("fixed", "nobody", room="one", metadata="first")
    await stage.end("fixed")

    for spec, words in CHANGES.values():
        with pytest.raises(Refused, match=words):
            await stage.kube.patch(VOICE_SESSIONS, stage.namespace, "fixed", {"spec": spec})
