"""Callers who come and go, and the people who run the platform."""

import asyncio
from typing import Final

from tests.simulation.chance import Chance
from tests.simulation.gateways import KEY, SECRET
from tests.simulation.livekit import Participant
from tests.simulation.scene import NAMESPACE, Scene
from tests.support.fake_kube import put_secret
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS, Object

AGENT: Final = "desk"


def agent_spec(chance: Chance) -> Object:
    """Return the spec of a VoiceAgent that wants every room."""
    least = chance.count(0, 3)
    pool: dict[str, int] = {"min": least}
    if chance.happens(0.5):
        pool["max"] = least + chance.count(0, 3)
    return {
        "livekit": {"url": "ws://livekit", "credentialsSecretRef": {"name": "keys"}},
        "template": _template(1),
        "rooms": [{"regex": ".*"}],
        "pool": pool,
        "rollout": {"canary": chance.one_of([0, 0, 50]), "canaryFor": "20s"},
        "lifecycle": {
            "startDeadline": f"{chance.count(10, 40)}s",
            "reconnectGrace": f"{chance.count(0, 10)}s",
            "idleTimeout": "30s",
            "maxDuration": chance.one_of(["10m", "10m", "30s"]),
            "shutdownGrace": f"{chance.count(0, 5)}s",
            "ttlAfterFinished": f"{chance.count(0, 60)}s",
            "maxReplacements": chance.count(0, 3),
        },
    }


def _template(version: int) -> Object:
    return {"spec": {"containers": [{"name": "agent", "image": f"desk:{version}"}]}}


class Platform:
    """Those who apply a VoiceAgent, and change it."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._chance = scene.chance("platform")
        self.spec = agent_spec(self._chance)
        self.places = self._limit(scene.chance("capacity"))
        """How many sessions may have a pod at once; None: any number."""
        values = {"LIVEKIT_API_KEY": KEY, "LIVEKIT_API_SECRET": SECRET}
        put_secret(scene.store, NAMESPACE, "keys", **values)
        self._apply()

    def _limit(self, chance: Chance) -> int | None:
        """Have fewer places than callers in some of the runs; whoever waits does so for long."""
        if not chance.happens(0.25):
            return None
        places = max(int(self.spec["pool"]["min"]), chance.count(1, 3))
        self.spec["capacity"] = {"maxSessions": places, "queueDeadline": "1h"}
        return places

    @property
    def most(self) -> int:
        """How many warm pods there may be."""
        pool = self.spec["pool"]
        return int(pool.get("max", 2 * pool["min"]))

    @property
    def most_replacements(self) -> int:
        """How many lost agents of a call are replaced."""
        return int(self.spec["lifecycle"]["maxReplacements"])

    def lift_limit(self) -> None:
        """Have places for everybody."""
        if self.places is not None:
            self.places = None
            self.spec = {key: value for key, value in self.spec.items() if key != "capacity"}
            self._apply()

    def let_calls_last(self) -> None:
        """Allow calls that end in minutes at the earliest."""
        lifecycle = {**self.spec["lifecycle"], "maxDuration": "10m"}
        self.spec = {**self.spec, "lifecycle": lifecycle}
        self._apply()

    async def meddle(self) -> None:
        """Change the template now and then."""
        for version in range(2, 2 + self._chance.count(0, 2)):
            await asyncio.sleep(self._chance.between(5, 40))
            self._scene.trace.say("platform", "changes the template")
            self.spec = {**self.spec, "template": _template(version)}
            self._apply()

    @property
    def headroom(self) -> int:
        """How many placeholders there should be."""
        return int(self.spec.get("capacity", {}).get("headroom", 0))

    async def reserve(self) -> None:
        """Want more head-room now and less or none then, in some of the runs."""
        chance = self._scene.chance("headroom")
        if not chance.happens(0.25):
            return
        while True:
            capacity = {**self.spec.get("capacity", {}), "headroom": chance.count(0, 2)}
            self.spec = {**self.spec, "capacity": capacity}
            self._scene.trace.say("platform", "wants so many placeholders:", self.headroom)
            self._apply()
            await asyncio.sleep(chance.between(1, 20))

    def _apply(self) -> None:
        status: Object = {}
        for item in self._scene.store.kept(VOICE_AGENTS):
            status = {"status": item["status"]} if "status" in item else {}
        body = {"metadata": {"name": AGENT}, "spec": self.spec, **status}
        self._scene.store.put(VOICE_AGENTS, NAMESPACE, body)


class Callers:
    """Those who call in one room, one call after the other."""

    def __init__(self, scene: Scene, room: str) -> None:
        self._scene, self._room = scene, room
        self._chance = scene.chance(f"callers/{room}")
        self._calls = 0

    async def call_now_and_then(self, first: float | None) -> None:
        """Come, stay a while, and go in one of many ways, until cancelled.

        ``first`` is when the first call is about, in seconds from now, if it is not left to chance.
        """
        chance = self._chance
        first = chance.between(0, 20) if first is None else first + chance.between(0, 2)
        await asyncio.sleep(first)
        while True:
            if chance.happens(0.1):
                self._make_session()
                await asyncio.sleep(chance.between(0, 5))
            caller = self.join("ann")
            await asyncio.sleep(chance.between(0, 1) if chance.happens(0.2) else 1)
            await asyncio.sleep(chance.between(0, 40))
            await chance.one_of([self._leave, self._leave, self._return, self._close, self._end])(
                caller
            )
            await asyncio.sleep(chance.between(0, 20))

    def join(self, identity: str) -> Participant:
        """Come."""
        return self._scene.livekit.join(self._room, identity)

    async def _leave(self, caller: Participant) -> None:
        if self._chance.happens(0.5):
            self._scene.livekit.leave(caller)
        else:
            self._scene.livekit.vanish(caller)

    async def _return(self, caller: Participant) -> None:
        await self._leave(caller)
        await asyncio.sleep(self._chance.between(0, 15))
        again = self.join("ann")
        await asyncio.sleep(self._chance.between(0, 20))
        await self._leave(again)

    async def _close(self, _: Participant) -> None:
        self._scene.livekit.close(self._room)

    async def _end(self, caller: Participant) -> None:
        """Have somebody at the platform end the session, by its spec or by deleting it."""
        deleted = self._chance.happens(0.5)
        for item in self._scene.store.kept(VOICE_SESSIONS):
            if item["spec"]["room"] == self._room:
                end_session(self._scene, item, deleted)
        await asyncio.sleep(self._chance.between(0, 10))
        await self._leave(caller)

    def _make_session(self) -> None:
        self._calls += 1
        name = f"by-hand-{self._room}-{self._calls}"
        self._scene.trace.say("platform", "makes", name)
        spec = {"agentRef": {"name": AGENT}, "room": self._room}
        self._scene.store.put(VOICE_SESSIONS, NAMESPACE, {"metadata": {"name": name}, "spec": spec})


def end_session(scene: Scene, item: Object, deleted: bool) -> None:
    """Have somebody at the platform end a session, by its spec or by deleting it."""
    name = item["metadata"]["name"]
    scene.trace.say("platform", "deletes" if deleted else "ends", name)
    if deleted:
        scene.store.let_go(VOICE_SESSIONS, NAMESPACE, name)
    else:
        scene.store.put(VOICE_SESSIONS, NAMESPACE, {**item, "spec": {**item["spec"], "end": True}})


def everybody_leaves(scene: Scene, chance: Chance) -> None:
    """Have all callers go, and some of the rooms be closed."""
    for room in list(scene.livekit.rooms.values()):
        if chance.happens(0.5):
            scene.livekit.close(room.name)
        else:
            for caller in room.callers:
                scene.livekit.leave(caller)
