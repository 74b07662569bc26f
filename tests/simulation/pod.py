"""A pod's containers: a real sidecar's supervisor and an agent, and who speaks with them."""

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.protocol import models, room

from tests.simulation.agent import Agent, Temper
from tests.simulation.chance import Chance
from tests.simulation.http import Answer, Http
from tests.simulation.scene import LIVEKIT, NAMESPACE, Scene, unix
from voicepod.assignment.errors import PodRefused, PodUnreachable
from voicepod.assignment.messages import Accepted, Assignment, PodStatus, Tokens
from voicepod.sidecar.hints import Hints
from voicepod.sidecar.state import Refused
from voicepod.sidecar.supervisor import Supervisor


class RunningPod:
    """One pod, from the start of its containers to their end."""

    def __init__(
        self, scene: Scene, name: str, chance: Chance, crashed: Callable[[], None]
    ) -> None:
        """``crashed`` is called when the agent's process dies by itself."""
        self.name = name
        self._scene, self._chance, self._crashed = scene, chance, crashed
        http: Any = Http({"http://operator/hint": self._hint, "http://livekit": self._rooms})
        self._hints = Hints(http, "http://operator", NAMESPACE, name)
        self._supervisor = Supervisor(http, self._hints, clock=unix)
        temper = Temper.drawn(chance, scene.weather)
        self._agent = Agent(self._supervisor, scene, temper, chance, self.crash)
        self._alive = True

    @property
    def call(self) -> str:
        """The sid of the room where its agent talks to somebody; empty if it does not."""
        return self._agent.call

    @property
    def said(self) -> str:
        """What its agent knows of the conversation."""
        return self._agent.said

    async def register(self) -> None:
        """Have the agent connect."""
        self._scene.trace.say(self.name, "its agent registers")
        await self._agent.register()

    def crash(self) -> None:
        """Have its agent's process die by itself."""
        self._scene.trace.say(self.name, "its agent crashes")
        self._agent.die()
        self._crashed()

    async def stop(self, grace: float) -> None:
        """Stop as the kubelet has it: the preStop hook, then SIGTERM, and then SIGKILL."""
        try:
            async with asyncio.timeout(grace):
                await self._supervisor.stop("the pod is being deleted")
                await self._agent.terminate()
        except TimeoutError:
            self._scene.trace.say(self.name, "is not done within its grace")
        await self._hints.close()
        await self.end()

    async def end(self) -> None:
        """Have all processes killed."""
        self._alive = False
        self._agent.die()
        await self._supervisor.close()
        await self._hints.close()

    # What it is asked

    async def assign(self, assignment: Assignment) -> Accepted:
        """Give it its one job. Raises an exception of ``assignment.errors``."""
        try:
            return await self._there().assign(assignment)
        except Refused as error:
            raise PodRefused(error.reason, error.message) from None
        except asyncio.CancelledError:
            if self._alive:
                raise
            raise PodUnreachable("it has died") from None

    async def dispatch(self, tokens: Tokens) -> PodStatus:
        """Send the tokens. Raises an exception of ``assignment.errors``."""
        try:
            await self._there().dispatch(tokens)
        except Refused as error:
            raise PodRefused(error.reason, error.message) from None
        return self._supervisor.pod.status()

    async def told_to_end(self, reason: str) -> PodStatus:
        """Tell the agent to end its job. Raises PodUnreachable."""
        await self._there().end_session(reason)
        return self._supervisor.pod.status()

    async def status(self) -> PodStatus:
        """Return all that the sidecar knows. Raises PodUnreachable."""
        return self._there().pod.status()

    async def checkpoint(self) -> str | None:
        """Return what was said in the call. Raises PodUnreachable."""
        return self._there().pod.checkpoint

    def _there(self) -> Supervisor:
        if not self._alive:
            raise PodUnreachable("nobody answers")
        return self._supervisor

    # What it asks

    async def _hint(self, _: str, request: dict[str, Any]) -> Answer:
        await asyncio.sleep(self._chance.between(0.0005, 0.01))
        if not self._alive or self._chance.happens(self._scene.weather.hint_lost):
            raise ConnectionResetError("the hint gets lost")
        return Answer(202 if self._scene.hint(request["json"]) else 404)

    async def _rooms(self, _: str, request: dict[str, Any]) -> Answer:
        """Answer ListParticipants."""
        weather = self._scene.weather
        await asyncio.sleep(self._chance.between(0.001, 0.02))
        refused = LIVEKIT in self._scene.away
        if refused or self._chance.happens(max(weather.livekit_refused, weather.livekit_lost)):
            raise ConnectionResetError("LiveKit does not answer")
        name = room.ListParticipantsRequest.FromString(request["data"]).room
        open_room = self._scene.livekit.rooms.get(name)
        there = [
            models.ParticipantInfo(
                sid=one.sid,
                identity=one.identity,
                joined_at_ms=int(one.joined_at * 1000),
                tracks=[models.TrackInfo(type=models.TrackType.AUDIO)] if one.agent else [],
            )
            for one in (open_room.participants.values() if open_room else ())
        ]
        return Answer(200, room.ListParticipantsResponse(participants=there).SerializeToString())
