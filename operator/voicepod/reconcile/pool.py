"""The pool of a VoiceAgent: how many pods wait for a call, and how a new template replaces them.

``plan`` is pure; ``PoolReconciler`` carries it out. Nothing is expected that the cache does not
show: pods are in it as soon as the API server has made them, and so no round makes them twice.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from voicepod.api.agent import Pool
from voicepod.api.conditions import Reason
from voicepod.api.names import LABEL_AGENT
from voicepod.builders.pod import PodKeys, Sidecar
from voicepod.builders.warm import WarmOwner, build_warm_pod, template_hash
from voicepod.kube.client import PODS, Kube
from voicepod.kube.errors import Conflict, KubeError, NotFound, Refused, Unavailable
from voicepod.kube.events import Events, Note, Regarding
from voicepod.reconcile.objects import Agent, Key, Pod, parse_pod
from voicepod.reconcile.sessions import Outcome
from voicepod.reconcile.world import World

# A changed template replaces a quarter of the pool at a time: enough to be done after four starts,
# few enough for a template that does not work to cost little.
_BATCH: Final = 4

# Enough to refill behind a burst as fast as pods are claimed, while most of the API server's
# attention is left to the claims.
_CREATES: Final = 5

# A pod that failed by chance is replaced at once; a template that does not work costs a pod a
# minute. One that has worked for longer than this is trusted again.
_FIRST_RETRY: Final = timedelta(seconds=0.5)
_LAST_RETRY: Final = timedelta(seconds=60)
_FORGIVEN: Final = 2 * _LAST_RETRY

# What the template is to blame for; a pod that finds no node is not among it.
_FAILURES: Final = frozenset(
    {Reason.AGENT_CRASHED, Reason.CONTAINER_FAILED, Reason.IMAGE_PULL_FAILED}
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pool lacks, and what it has too much of."""

    create: int = 0
    delete: tuple[Pod, ...] = ()


def plan(pods: list[Pod], pool: Pool, current: str) -> Plan:
    """Return what makes ``pods``, all that wait for a VoiceAgent, into the pool.

    ``current`` is the hash of its template. There are never more than ``pool.most``, whatever
    state they are in. While pods of an older hash are there, up to a quarter more than ``pool.min``
    are: an older pod goes as soon as a new one is ready in its place. A pool whose max has no
    room for that gives up a quarter of its older pods first, but never the last that is ready.
    """
    alive = [pod for pod in pods if not pod.finished and not pod.deleting]
    old = [pod for pod in alive if pod.template_hash != current]
    batch = max(1, pool.min // _BATCH)
    wanted = min(pool.min + min(batch, len(old)), pool.most)

    ready = sum(pod.ready for pod in alive)
    enough = pool.min if pool.most > pool.min else min(pool.min, max(1, pool.min - batch))
    going = [pod for pod in old if not pod.ready]
    going += [pod for pod in _newest_first(old) if pod.ready][: max(0, ready - enough)]

    surplus = len(alive) - len(going) - wanted
    if surplus > 0:
        unwanted = [pod for pod in alive if pod.template_hash == current]
        going += sorted(_newest_first(unwanted), key=lambda pod: pod.ready)[:surplus]
    broken = [pod for pod in pods if pod.finished and not pod.deleting]
    create = max(0, min(wanted - len(alive), pool.most - len(pods)))
    return Plan(create, (*broken, *going))


def _newest_first(pods: list[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: (pod.created, pod.key), reverse=True)


@dataclass(slots=True)
class _Trouble:
    """How one template of a VoiceAgent has fared."""

    template_hash: str
    failures: int = 0
    until: datetime | None = None
    """When the next pod may be tried."""
    told: bool = False

    def add(self, now: datetime) -> None:
        """Count a failure; those that come together are one."""
        if self.until and now < self.until:
            return
        if not self.recent(now):
            self.failures = 0
        self.until = now + min(_FIRST_RETRY * 2 ** min(self.failures, 10), _LAST_RETRY)
        self.failures += 1

    def wait(self, now: datetime) -> float:
        """Return the seconds until the next pod may be tried."""
        return max(0.0, (self.until - now).total_seconds()) if self.until else 0.0

    def recent(self, now: datetime) -> bool:
        """Whether it failed lately."""
        return self.until is not None and now <= self.until + _FORGIVEN


@dataclass(frozen=True, slots=True)
class PoolReconciler:
    """Keeps the pools of VoiceAgents full."""

    world: World
    kube: Kube
    sidecar: Sidecar
    events: Events
    clock: Callable[[], datetime]
    _troubles: dict[Key, _Trouble] = field(default_factory=dict)
    _unsure: set[Key] = field(default_factory=set)
    """VoiceAgents of which the answer to a create got lost: there may be pods unknown yet."""
    _creates: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CREATES))

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the pool of a VoiceAgent nearer to what it should be.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        agent = self.world.agents.get(key)
        if agent is None:
            # Its pods are its own, and the garbage collector's.
            self._troubles.pop(key, None)
            self._unsure.discard(key)
            return Outcome()
        await self._look_up(key)
        grace = agent.spec.lifecycle.seconds("shutdown_grace")
        current = template_hash(agent.spec.template, grace, self.sidecar)
        pods = self.world.idle_pods(key)
        trouble = self._trouble(agent, current, pods)
        todo = plan(pods, agent.spec.pool, current)
        for pod in todo.delete:
            if pod.uid not in self.world.claiming:
                await self._delete(pod)
        if not todo.create:
            return Outcome()
        if (wait := trouble.wait(self.clock())) > 0:
            return Outcome(wake=wait)
        create = todo.create
        if trouble.recent(self.clock()):
            # After a failure one pod goes ahead; the others follow when it is ready.
            create = min(create, _on_trial(pods, current))
        return await self._create(agent, create, trouble)

    def _trouble(self, agent: Agent, current: str, pods: list[Pod]) -> _Trouble:
        trouble = self._troubles.get(agent.key)
        if trouble is None or trouble.template_hash != current:
            trouble = self._troubles[agent.key] = _Trouble(current)
        for pod in pods:
            if pod.template_hash != current or pod.deleting:
                continue
            if pod.finished:
                trouble.add(self.clock())
            if pod.problem and (pod.finished or pod.problem.reason in _FAILURES):
                self._tell(agent, trouble, pod.problem.message)
        return trouble

    def _tell(self, agent: Agent, trouble: _Trouble, message: str) -> None:
        """Post one Event of a template's failures."""
        if not trouble.told:
            trouble.told = True
            about = Regarding("VoiceAgent", *agent.key, agent.uid)
            self.events.post(about, Note("WarmPodFailed", message, warning=True))

    async def _look_up(self, key: Key) -> None:
        """Ask the API server which pods were made when its answer got lost."""
        if key in self._unsure:
            namespace, name = key
            for raw in await self.kube.list_all(PODS, namespace, f"{LABEL_AGENT}={name}"):
                self.world.put_pod(parse_pod(raw))
            self._unsure.discard(key)

    async def _create(self, agent: Agent, count: int, trouble: _Trouble) -> Outcome:
        """Create pods, and let all of them come to an end before an error is raised."""
        results = await asyncio.gather(
            *(self._create_one(agent) for _ in range(count)), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Refused):
                raise error
        if not errors:
            return Outcome()
        trouble.add(self.clock())
        self._tell(agent, trouble, f"the API server refuses a warm pod: {errors[0]}")
        return Outcome(wake=trouble.wait(self.clock()))

    async def _create_one(self, agent: Agent) -> None:
        namespace, name = agent.key
        manifest = build_warm_pod(
            agent.spec.template,
            WarmOwner(namespace, name, agent.uid),
            agent.spec.lifecycle.seconds("shutdown_grace"),
            self.sidecar,
            PodKeys.draw(),
        )
        async with self._creates:
            try:
                created = await self.kube.create(PODS, namespace, manifest)
            except Unavailable:
                self._unsure.add(agent.key)
                raise
        self.world.put_pod(parse_pod(created))

    async def _delete(self, pod: Pod) -> None:
        """Delete a pod that nobody has claimed meanwhile."""
        # In the cache first: no session shall try it now.
        going = replace(pod, deleting=True)
        self.world.put_pod(going)
        try:
            await self.kube.delete(PODS, *pod.key, uid=pod.uid, version=pod.version)
        except NotFound:
            self.world.drop_pod(pod.key, pod.uid)
        except Conflict:
            # It has changed, or was claimed; the watch will say how.
            return
        except KubeError:
            if self.world.pods.get(pod.key) is going:
                self.world.put_pod(pod)
            raise


def _on_trial(pods: list[Pod], current: str) -> int:
    """Return how many pods of a template that has failed may be made now."""
    alive = [pod for pod in pods if not pod.finished and not pod.deleting]
    ours = [pod for pod in alive if pod.template_hash == current]
    if any(pod.ready for pod in ours):
        return _CREATES
    return 0 if ours else 1
