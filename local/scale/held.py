"""Calls that are on for as long as the rig is: a few that the operator has made, and copies.

A copy is laid down while the operator is off, as it would have left it: the session with its
status, its pod, its room, and the sidecar with its assignment. What the operator has made once is
the model, and so nothing of it has to be known here but what tells one call from another.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from local.scale import kwok, ledger
from local.scale.callers import Caller, call
from local.scale.patience import PAUSE, patiently
from local.scale.rooms import OpenRooms, opening
from local.scale.site import ADDRESS, LIVEKIT_URL, NAMESPACE, SYSTEM
from voicepod.api.names import ANNOTATION_ROOM, LABEL_SESSION
from voicepod.assignment.client import PodClient, pod_session
from voicepod.assignment.messages import Accepted, Assignment, RoomRef, SessionRef, Tokens
from voicepod.kube.client import PODS, VOICE_SESSIONS, Kube, Object
from voicepod.signing_key import load_signer

# In seconds: longer than any run.
TALK_SECONDS = 36_000.0

# Calls a second that the operator makes: it keeps up with more.
_RATE = 10.0

# How many are laid down at once: the API server and KWOK share the machine's cores, and more would
# only wait for them.
_AT_ONCE = 16

# In seconds, for each call until all are there.
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Held:
    """Makes calls that stay."""

    kube: Kube
    rooms: OpenRooms
    pods: PodClient

    async def make(self, count: int) -> list[Caller]:
        """Have the operator make calls; return when their agents are in the rooms."""
        callers = await call(self.kube, "held", [n / _RATE for n in range(count)], TALK_SECONDS)
        await ledger.until(_PATIENCE + count / _RATE, calls=count)
        return callers

    async def lay_down(self, count: int, nodes: int, model: str) -> list[str]:
        """Lay down copies of the call of session `model`; return the uids of their sessions.

        They are spread over the nodes. The operator must be off.
        """
        session = await self.kube.get(VOICE_SESSIONS, NAMESPACE, model)
        pod = await self.kube.get(PODS, NAMESPACE, session["status"]["pod"])
        places = asyncio.Semaphore(_AT_ONCE)

        async def lay(number: int) -> str:
            async with places:
                node = kwok.name_of(number % nodes)
                return await self._lay(_laid(number), node, session, pod)

        async def leave(number: int) -> None:
            async with places:
                await self._leave(_pod_of(_laid(number)))

        uids = await asyncio.gather(*(lay(number) for number in range(count)))
        await self._until_all_run()
        await asyncio.gather(*(leave(number) for number in range(count)))
        return uids

    async def _until_all_run(self) -> None:
        async def some_do_not() -> bool:
            selector = "status.phase!=Running"
            return bool(await self.kube.list_all(PODS, NAMESPACE, field_selector=selector))

        while await some_do_not():  # noqa: ASYNC110 - KWOK tells nobody
            await asyncio.sleep(PAUSE)

    async def _lay(self, name: str, node: str, model: Object, model_pod: Object) -> str:
        sid = await self.rooms.open(name)
        spec = {**model["spec"], "room": name, "roomSid": sid}
        body = {**_named(model, name, "labels"), "spec": spec}
        session = await patiently(lambda: self.kube.create(VOICE_SESSIONS, NAMESPACE, body))
        uid = session["metadata"]["uid"]
        pod_body = _pod(model_pod, _pod_of(name), node, name, uid)
        pod = await patiently(lambda: self.kube.create(PODS, NAMESPACE, pod_body))
        assignment = _assignment(name, uid, sid, spec["metadata"])
        status = {
            **model["status"],
            "pod": pod["metadata"]["name"],
            "node": node,
            "roomSid": sid,
            "identity": Accepted.plainly(assignment.job_id).identity,
        }
        patch = {"status": status}
        await patiently(
            lambda: self.kube.patch(VOICE_SESSIONS, NAMESPACE, name, patch, subresource="status")
        )
        await patiently(lambda: self.pods.assign(ADDRESS, pod["metadata"]["uid"], assignment))
        return str(uid)

    async def _leave(self, pod: str) -> None:
        # As a claim leaves it: nobody's fields, which are half of what an API server keeps of it.
        # And nothing that KWOK would have to do for it.
        left: Object = {"metadata": {"managedFields": [{}], "annotations": kwok.NOTHING_TO_DO}}
        await patiently(lambda: self.kube.patch(PODS, NAMESPACE, pod, left))


@asynccontextmanager
async def holding(kube: Kube) -> AsyncIterator[Held]:
    """Connect to LiveKit, and to the pods as the operator does."""
    async with opening() as rooms, pod_session() as pod_http:
        signer = await load_signer(kube, SYSTEM, "voicepod-signing-key")
        yield Held(kube, rooms, PodClient(pod_http, signer))


def _laid(number: int) -> str:
    return f"laid-{number:05}"


def _pod_of(session: str) -> str:
    return f"pod-of-{session}"


def _named(model: Object, name: str, *parts: str) -> dict[str, Any]:
    metadata = {part: copy.deepcopy(model["metadata"][part]) for part in parts}
    return {
        "apiVersion": model["apiVersion"],
        "kind": model["kind"],
        "metadata": {**metadata, "name": name, "namespace": NAMESPACE},
    }


def _pod(model: Object, name: str, node: str, session: str, uid: str) -> dict[str, Any]:
    body = _named(model, name, "labels", "annotations", "ownerReferences")
    metadata = body["metadata"]
    metadata["labels"][LABEL_SESSION] = metadata["annotations"][ANNOTATION_ROOM] = session
    (owner,) = metadata["ownerReferences"]
    owner |= {"name": session, "uid": uid}
    return {**body, "spec": {**model["spec"], "nodeName": node}}


def _assignment(name: str, uid: str, sid: str, metadata: str) -> Assignment:
    assert json.loads(metadata)["seconds"] == TALK_SECONDS
    return Assignment(
        session=SessionRef(NAMESPACE, name, uid),
        generation=1,
        room=RoomRef(sid, name),
        livekit_url=LIVEKIT_URL,
        job_id=f"AJ_{uid}",
        shutdown_grace=0.0,
        metadata=metadata,
        # Nobody joins with them: the agents are played.
        tokens=Tokens(uid, 1, "", ""),
    )
