"""One pod's sidecar and the agent beside it, played.

It speaks the real contract (signed messages, the state machine of the sidecar, its hints) for an
agent that joins its room, talks for as long as the session's metadata says, and then sees the host
close the meeting.
"""

import asyncio
import json
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from voicepod.assignment.messages import (
    Accepted,
    Act,
    Assignment,
    Checkpoint,
    Ending,
    Tokens,
)
from voicepod.assignment.signing import Verifier
from voicepod.livekit.rooms import Rooms
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.state import Pod

# Seconds, as measured with the default agent on a quiet machine: from the token to the join, and
# on to the first audio.
JOIN_SECONDS = 0.1
AUDIO_SECONDS = 0.2

# Seconds between the room's end and the agent's report that its job is over.
LEAVE_SECONDS = 0.05


@dataclass(slots=True)
class Told:
    """An assignment, as it came."""

    at: float
    """By the monotonic clock, which is one for all processes of a machine."""
    session: str
    generation: int
    taken: bool
    """False when the pod has another one already."""


@dataclass(slots=True)
class PodLife:
    """What was seen of one pod."""

    name: str
    created: float
    """When it was first seen, by the monotonic clock, as are all of these."""
    node: str = ""
    roomless: bool = False
    """It was seen while no node had room for it."""
    ready: float | None = None
    ending: float | None = None
    """When its deletion was asked for."""
    gone: float | None = None
    owned: float | None = None
    """When it was first seen to belong to a session."""
    owners: list[str] = field(default_factory=list)
    """The sessions that it was seen to belong to, one after the other."""
    told: list[Told] = field(default_factory=list)


class Sidecar:
    """The sidecar of one pod, and the agent beside it."""

    def __init__(self, verifier: Verifier, hints: Hints, rooms: Rooms, life: PodLife) -> None:
        self.life = life
        self._verifier = verifier
        self._hints = hints
        self._rooms = rooms
        self._pod = Pod(time.time)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def warm(self) -> bool:
        """The agent waits for a session."""
        return self.life.ready is not None and not self.life.owners

    @property
    def in_call(self) -> bool:
        """The agent is in a room."""
        return self._pod.has_joined and not self._pod.over

    def register(self) -> None:
        """The agent has started."""
        if self.life.ready is None:
            self.life.ready = time.monotonic()
            self._pod.register("agent", "scale")
            self._hints.send()

    def close(self) -> None:
        """The pod is gone."""
        for task in self._tasks:
            task.cancel()

    def act(self, act: Act, token: bytes) -> dict[str, Any]:
        """Do what the operator asks. Raises Refused, or an exception of voicepod.assignment."""
        now = time.monotonic()
        body = self._verifier.verify(token, act)
        match act:
            case Act.ASSIGN:
                return self._assign(Assignment.from_dict(body), now).to_dict()
            case Act.TOKEN:
                self._dispatch(Tokens.from_dict(body))
            case Act.END:
                self._pod.end(Ending.from_dict(body).reason)
                self._spawn(self._leave())
            case Act.CHECKPOINT:
                return Checkpoint().to_dict()
            case Act.STATUS:
                pass
        return self._pod.status().to_dict()

    def _assign(self, assignment: Assignment, now: float) -> Accepted:
        told = Told(now, assignment.session.uid, assignment.generation, taken=False)
        self.life.told.append(told)
        # The kubelet's news of the readiness may have reached the operator first.
        self.register()
        accepted = Accepted.plainly(assignment.job_id)
        if self._pod.assign(assignment):
            self._pod.accept(accepted)
        told.taken = True
        if assignment.tokens is None:
            return accepted
        self._dispatch(assignment.tokens)
        return replace(accepted, status=self._pod.status())

    def _dispatch(self, tokens: Tokens) -> None:
        if self._pod.job and self._pod.dispatch(tokens, self._pod.job.identity):
            self._spawn(self._call())

    async def _call(self) -> None:
        assert self._pod.assignment
        await asyncio.sleep(JOIN_SECONDS)
        self._pod.see(time.time(), audio=False)
        await asyncio.sleep(AUDIO_SECONDS)
        self._pod.see(time.time(), audio=True)
        self._hints.send()
        await asyncio.sleep(json.loads(self._pod.assignment.metadata)["seconds"])
        await self._rooms.close(self._pod.assignment.room.name)
        await self._leave()

    async def _leave(self) -> None:
        await asyncio.sleep(LEAVE_SECONDS)
        if self._pod.job and not self._pod.over:
            self._pod.report(self._pod.job.id, "JS_SUCCESS", "")
            self._hints.send()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
