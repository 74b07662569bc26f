"""What must be so, whatever happens: some of it always, some of it once all has calmed down."""

from datetime import datetime
from typing import Final

from tests.simulation.cluster import Cluster, owner_of
from tests.simulation.livekit import OpenRoom, Participant
from tests.simulation.nodes import Nodes, pods_on
from tests.simulation.people import Platform
from tests.simulation.scene import Scene, unix
from voicepod.api.conditions import Reason
from voicepod.api.names import ANNOTATION_GENERATION, LABEL_SESSION
from voicepod.kube.client import BUDGETS, DEPLOYMENTS, PODS, VOICE_SESSIONS, Object

# In seconds, in calm weather: idleTimeout, a hint that got lost before, and the goodbye.
_SILENCE = 30.0 + 30.0 + 10.0

# Whoever waited in vain for a place is not put in line again.
_ON_PURPOSE: Final = frozenset(
    {Reason.REQUESTED, Reason.MAX_DURATION, Reason.IDLE_TIMEOUT, Reason.QUEUE_DEADLINE}
)

# In seconds: a gateway may have heard as late as this of a session that somebody has deleted, and
# takes that for the moment at which it ended.
_HEARD: Final = 75.0


class Always:
    """Looks at each change of a room and of a pod, and says what must not be."""

    def __init__(self, scene: Scene, cluster: Cluster, platform: Platform, nodes: Nodes) -> None:
        self._scene, self._cluster, self._platform = scene, cluster, platform
        self._nodes = nodes
        self._owners: dict[str, str] = {}
        self._going: set[str] = set()
        self.parted: dict[str, float] = {}
        """By rooms' sids, in Unix seconds: whoever has joined until then stays without an agent, as
        their call was ended on purpose."""
        scene.livekit.tellers.append(self._room_changed)
        scene.store.watch(PODS, self._pod_changed)
        scene.store.watch(VOICE_SESSIONS, self._session_changed)

    @property
    def places(self) -> int | None:
        """How many sessions may have a pod at once; None: any number."""
        return self._platform.places

    def _room_changed(self, _: str, room: OpenRoom, __: Participant | None) -> None:
        if len(room.live_agents) > 1:
            names = ", ".join(one.identity for one in room.live_agents)
            self._scene.broken(f"two live agents are in {room.name} {room.sid}: {names}")

    def _sessions(self) -> list[Object]:
        return self._scene.store.kept(VOICE_SESSIONS)

    def _session_changed(self, type_: str, item: Object) -> None:
        status = item.get("status", {})
        lost, most = len(status.get("lost", [])), self._platform.most_replacements
        if lost > most:
            self._scene.broken(f"{lost} agents were lost of {most} that may be replaced")
        if status.get("endReason") in _ON_PURPOSE and "ending" in status["times"]:
            ending = datetime.fromisoformat(status["times"]["ending"])
            self.parted[sid_of(item)] = ending.timestamp()
        elif type_ == "DELETED" and "endReason" not in status:
            # Be it that its end was asked for before: nobody has acted on that.
            self.parted[sid_of(item)] = unix() + _HEARD

    def _pod_changed(self, type_: str, item: Object) -> None:
        metadata = item["metadata"]
        uid, name = metadata["uid"], metadata["name"]
        session = session_of(item)
        if session:
            if uid not in self._owners and not is_live(item):
                self._scene.broken(f"pod {name} is claimed, and will take no call")
            if (earlier := self._owners.setdefault(uid, session)) != session:
                self._scene.broken(f"pod {name} is of session {earlier}, and then of {session}")
            self._count_pods(session, generation_of(item))
            self._count_places()
        elif type_ == "ADDED":
            idle = [pod for pod in self._scene.store.kept(PODS) if not session_of(pod)]
            if len(idle) > self._platform.most:
                self._scene.broken(
                    f"{len(idle)} pods are in a pool of {self._platform.most} at most"
                )
        if "deletionTimestamp" in metadata and uid not in self._going:
            self._going.add(uid)
            if uid not in self._nodes.evicted:
                self._judge_deletion(item, session)

    def _count_pods(self, session: str, generation: str) -> None:
        """Count those of one generation: a lost agent's pod may go when its call has another."""
        pods = [
            pod["metadata"]["name"]
            for pod in self._scene.store.kept(PODS)
            if session_of(pod) == session and generation_of(pod) == generation and is_live(pod)
        ]
        if len(pods) > 1:
            self._scene.broken(f"session {session} has two live pods: {', '.join(pods)}")

    def _count_places(self) -> None:
        """Count the sessions that go on and have a pod."""
        owners = {session_of(pod) for pod in self._scene.store.kept(PODS) if is_live(pod)}
        on = {one["metadata"]["uid"] for one in self._sessions() if goes_on(one)}
        if self.places is not None and len(on & owners) > self.places:
            self._scene.broken(
                f"{len(on & owners)} sessions have pods, and there are {self.places} places"
            )

    def _judge_deletion(self, item: Object, session: str) -> None:
        """A live call's pod stays, as far as an agent that joins very late could be known of."""
        name, call = item["metadata"]["name"], self._cluster.call(item["metadata"]["uid"])
        for one in self._sessions():
            is_known = str(one.get("status", {}).get("joined")) == generation_of(item)
            is_its = one["metadata"]["uid"] == session and call == sid_of(one) != ""
            if is_its and is_known and goes_on(one):
                self._scene.broken(f"pod {name} is deleted, and its call goes on")


def session_of(pod: Object) -> str:
    """Return the uid of the session that a pod belongs to; empty for one that waits."""
    return owner_of(pod) if LABEL_SESSION in pod["metadata"]["labels"] else ""


def generation_of(pod: Object) -> str:
    """Return which of its session's pods a pod is."""
    return str(pod["metadata"]["annotations"].get(ANNOTATION_GENERATION, ""))


def is_live(pod: Object) -> bool:
    """Whether a pod can have a call."""
    going = "deletionTimestamp" in pod["metadata"]
    return not going and pod.get("status", {}).get("phase") != "Failed"


def goes_on(session: Object) -> bool:
    """Whether nobody has decided yet that a session is over."""
    status, spec = session.get("status", {}), session["spec"]
    return "endReason" not in status and not spec.get("end")


def unanswered(scene: Scene, always: Always) -> list[str]:
    """Return what is wrong with the rooms that have callers, and the sessions that have none."""
    wrong = []
    sessions = scene.store.kept(VOICE_SESSIONS)
    for room in scene.livekit.rooms.values():
        last = max((caller.joined_at for caller in room.callers), default=0.0)
        if last <= always.parted.get(room.sid, 0.0):
            continue
        if scene.hushed and unix() - last > _SILENCE:
            wrong.append(f"nobody speaks in {room.sid}, and the call goes on")
        of_room = [one for one in sessions if sid_of(one) == room.sid]
        if "Queued" in map(phase_of, of_room):
            taken = [one for one in sessions if phase_of(one) in ("Active", "Reconnecting")]
            if len(taken) != always.places:
                wrong.append(f"the caller in {room.sid} waits, and {len(taken)} places are taken")
            continue
        if len(room.live_agents) != 1:
            wrong.append(f"{len(room.live_agents)} agents are with the caller in {room.sid}")
        active = [one for one in of_room if phase_of(one) == "Active"]
        if len(active) != 1:
            wrong.append(f"{len(active)} active sessions has the caller in {room.sid}")
    open_ = {room.sid for room in scene.livekit.rooms.values()}
    lost = [one for one in sessions if goes_on(one) and sid_of(one) not in open_]
    return wrong + [f"session {one['metadata']['name']} goes on without a room" for one in lost]


def left_over(scene: Scene, platform: Platform) -> list[str]:
    """Return what is there when nobody has called for a while."""
    wrong = [f"room {name} is open" for name in scene.livekit.rooms]
    wrong += [f"session {one['metadata']['name']}" for one in scene.store.kept(VOICE_SESSIONS)]
    wrong += [f"budget {one['metadata']['name']}" for one in scene.store.kept(BUDGETS)]
    pods = scene.store.kept(PODS)
    wrong += [f"pod {one['metadata']['name']} of a session" for one in pods if session_of(one)]
    waiting = [one for one in pods if not session_of(one)]
    wrong += [f"pod {one['metadata']['name']} is not ready" for one in waiting if not ready(one)]
    placeholders = [one["spec"]["replicas"] for one in scene.store.kept(DEPLOYMENTS)]
    if placeholders != [platform.headroom] * bool(platform.headroom):
        wrong.append(f"placeholders: {placeholders}, and {platform.headroom} are wanted")
    least = platform.spec["pool"]["min"]
    if not least <= len(waiting) <= platform.most:
        wrong.append(f"{len(waiting)} pods wait, and not {least} to {platform.most}")
    return wrong


def held_up(scene: Scene, node: str) -> list[str]:
    """Return what is wrong with a node that was cordoned a while ago."""
    calls = [pod for pod in pods_on(scene, node) if session_of(pod)]
    waiting = [pod for pod in pods_on(scene, node) if not session_of(pod)]
    wrong = [f"pod {pod['metadata']['name']} waits on {node}, which is cordoned" for pod in waiting]
    if calls and not scene.store.kept(BUDGETS):
        wrong.append(f"{len(calls)} calls on {node} may be evicted")
    return wrong


def sid_of(session: Object) -> str:
    """Return the sid of a session's room."""
    return str(session["spec"].get("roomSid") or session.get("status", {}).get("roomSid", ""))


def phase_of(session: Object) -> str:
    """Return the phase of a session; empty before the operator has seen it."""
    return str(session.get("status", {}).get("phase", ""))


def ready(pod: Object) -> bool:
    """Whether a pod is as it should be."""
    conditions = pod.get("status", {}).get("conditions", [])
    return (
        is_live(pod)
        and {"Ready": "True"}.items() <= {one["type"]: one["status"] for one in conditions}.items()
    )
