"""Keeps the pool of a VoiceAgent as ``plan`` wants it, and no template from running away.

Nothing is expected that the cache does not show: pods are in it as soon as the API server has made
them, and so no round makes them twice.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Self

from voicepod.api.conditions import Reason
from voicepod.api.names import LABEL_AGENT, LABEL_SESSION
from voicepod.builders.pod import PodKeys, Template
from voicepod.builders.warm import WarmOwner, build_warm_pod
from voicepod.kube.client import PODS, Kube
from voicepod.kube.errors import Conflict, KubeError, NotFound, Refused, Unavailable
from voicepod.kube.events import Events, Note, Regarding
from voicepod.reconcile.objects import Agent, Key, Pod, parse_pod
from voicepod.reconcile.pool_plan import plan
from voicepod.reconcile.rush import Rush
from voicepod.reconcile.sessions import Outcome
from voicepod.reconcile.templates import TemplateBook, Templates
from voicepod.reconcile.world import World

# How many pods are made at once: enough to refill behind a burst as fast as pods are claimed, while
# most of the API server's attention is left to the claims. For a pool that still has more than half
# of its pods it is fewer, the fuller it is: nobody waits for them, and each has the scheduler and
# a kubelet write as well until it is ready.
_CREATES: Final = 5

# A pod that failed by chance is replaced at once; a template that does not work costs a pod a
# minute. One that has worked for longer than this is trusted again.
_FIRST_RETRY: Final = timedelta(seconds=0.5)
_LAST_RETRY: Final = timedelta(seconds=60)
_FORGIVEN: Final = 2 * _LAST_RETRY

# The largest image has been pulled by then, by a node that had none of it. A pod that has its node
# and is still not ready never will be, and its place is wanted. The kubelet tells of nothing then.
_PATIENCE: Final = timedelta(minutes=5)

# What the template is to blame for; a pod that finds no node is not among it.
_FAILURES: Final = frozenset(
    {Reason.AGENT_CRASHED, Reason.CONTAINER_FAILED, Reason.IMAGE_PULL_FAILED}
)


@dataclass(slots=True)
class _Trouble:
    """How one template of a VoiceAgent has fared."""

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
class _Lack:
    """What a pool lacks of one template's pods."""

    pods: int
    at_once: int
    """How many of them to make at once."""

    @classmethod
    def of(cls, pods: int, share: int) -> Self:
        """Of so many that there should be."""
        return cls(pods, math.ceil(_CREATES * min(1.0, 2 * pods / share)))


@dataclass(frozen=True, slots=True)
class PoolReconciler:
    """Keeps the pools of VoiceAgents full."""

    world: World
    kube: Kube
    templates: TemplateBook
    events: Events
    clock: Callable[[], datetime]
    rush: Rush
    _troubles: dict[Key, dict[str, _Trouble]] = field(default_factory=dict)
    """By VoiceAgent, and by the hash of each of its templates."""
    _unsure: set[Key] = field(default_factory=set)
    """VoiceAgents that may have a pod which is not known yet: the answer to a create got lost."""
    _creates: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CREATES))

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the pool of a VoiceAgent nearer to what it should be.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        await self._look_up(key)
        agent = self.world.agents.get(key)
        if agent is None:
            # Its pods are its own, and the garbage collector's.
            self._troubles.pop(key, None)
            return Outcome()
        templates, pool = self.templates.of(agent), agent.spec.pool
        pods, demand = self._idle_pods(key), self.world.demands[key]
        troubles = self._troubles_of(agent, templates, pods)
        wanted = demand.wanted(pool, self.clock())
        shares = templates.shares(wanted, pool.most)
        todo = plan(pods, shares, pool.most, self.world.cordoned, self.world.calls_on)
        for pod in todo.delete:
            if pod.uid not in self.world.claiming:
                await self._delete(pod)
        wakes = [demand.wake(pool), *self._patience(pods)]
        for template in templates.all():
            if count := todo.create.get(template.hash):
                trouble = troubles[template.hash]
                lack = _Lack.of(count, shares[template.hash])
                wakes.append(await self._refill(agent, template, lack, pods, trouble))
        return Outcome(wake=min((wake for wake in wakes if wake is not None), default=None))

    def _idle_pods(self, key: Key) -> list[Pod]:
        """Return the pods that wait; one that is not ready in its time counts as finished."""
        due = self.clock() - _PATIENCE
        return [
            replace(pod, finished=True) if _is_on_its_way(pod) and pod.created <= due else pod
            for pod in self.world.idle_pods(key)
        ]

    def _patience(self, pods: list[Pod]) -> Iterator[float]:
        """Yield for how many seconds each pod may not be ready yet."""
        for pod in pods:
            if _is_on_its_way(pod) and not pod.finished:
                yield (pod.created + _PATIENCE - self.clock()).total_seconds()

    def _troubles_of(
        self, agent: Agent, templates: Templates, pods: list[Pod]
    ) -> dict[str, _Trouble]:
        known = self._troubles.get(agent.key, {})
        troubles = {one.hash: known.get(one.hash) or _Trouble() for one in templates.all()}
        for pod in pods:
            trouble = troubles.get(pod.template_hash)
            if trouble is None or pod.deleting:
                continue
            if pod.finished:
                trouble.add(self.clock())
            if pod.problem and (pod.finished or pod.problem.reason in _FAILURES):
                self._tell(agent, trouble, pod.problem.message)
        self._troubles[agent.key] = troubles
        return troubles

    async def _refill(
        self, agent: Agent, template: Template, lack: _Lack, pods: list[Pod], trouble: _Trouble
    ) -> float | None:
        """Make pods, unless the template has to wait; return for how many seconds it has to."""
        if (wait := trouble.wait(self.clock())) > 0:
            return wait
        if trouble.recent(self.clock()):
            # After a failure one pod goes ahead; the others follow when it is ready.
            lack = replace(lack, pods=min(lack.pods, _on_trial(pods, template.hash)))
        return await self._create(agent, template, lack, trouble)

    def _tell(self, agent: Agent, trouble: _Trouble, message: str) -> None:
        """Post one Event of a template's failures."""
        if not trouble.told:
            trouble.told = True
            about = Regarding("VoiceAgent", *agent.key, agent.uid)
            self.events.post(about, Note("WarmPodFailed", message, warning=True))

    async def _look_up(self, key: Key) -> None:
        """Ask the API server which pods wait, unless that is known."""
        if key in self._unsure:
            namespace, name = key
            waiting = f"{LABEL_AGENT}={name},!{LABEL_SESSION}"
            for raw in await self.kube.list_all(PODS, namespace, waiting):
                self.world.put_pod(parse_pod(raw))
            self._unsure.discard(key)

    async def _create(
        self, agent: Agent, template: Template, lack: _Lack, trouble: _Trouble
    ) -> float | None:
        """Create pods, and let all of them come to an end before an error is raised."""
        at_once = asyncio.Semaphore(lack.at_once)

        async def create() -> None:
            async with at_once:
                if lack.at_once < _CREATES:
                    # Calls that begin have their pods already, or enough to choose from.
                    await self.rush.give_way()
                await self._create_one(agent, template)

        results = await asyncio.gather(
            *(create() for _ in range(lack.pods)), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, Refused):
                raise error
        if not errors:
            return None
        trouble.add(self.clock())
        self._tell(agent, trouble, f"the API server refuses a warm pod: {errors[0]}")
        return trouble.wait(self.clock())

    async def _create_one(self, agent: Agent, template: Template) -> None:
        namespace, name = agent.key
        manifest = build_warm_pod(
            template,
            WarmOwner(namespace, name, agent.uid),
            agent.spec.lifecycle.seconds("shutdown_grace"),
            self.templates.sidecar,
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


def _is_on_its_way(pod: Pod) -> bool:
    return bool(pod.node) and not pod.ready and not pod.deleting


def _on_trial(pods: list[Pod], current: str) -> int:
    """Return how many pods of a template that has failed may be made now."""
    alive = [pod for pod in pods if not pod.finished and not pod.deleting]
    ours = [pod for pod in alive if pod.template_hash == current]
    if any(pod.ready for pod in ours):
        return _CREATES
    return 0 if ours else 1
