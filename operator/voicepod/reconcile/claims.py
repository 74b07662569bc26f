"""How a session claims a warm pod.

The API server decides who gets a pod: each claim names the version of the pod that it saw. A
session never gets two: one worker acts for it, and a claim whose answer got lost is looked up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.names import LABEL_SESSION
from voicepod.builders.pod import Owner, Template
from voicepod.builders.warm import claim_patch
from voicepod.kube.client import PODS, Kube
from voicepod.kube.errors import Conflict, NotFound, Unavailable
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.objects import Pod, parse_pod
from voicepod.reconcile.records import Record
from voicepod.reconcile.templates import Templates
from voicepod.reconcile.world import World


@dataclass(frozen=True, slots=True)
class Claims:
    """Gives warm pods to sessions."""

    world: World
    kube: Kube
    clock: Callable[[], datetime]
    metrics: Metrics

    async def claim(
        self, record: Record, spec: VoiceAgentSpec, templates: Templates, generation: int
    ) -> bool:
        """Give the session a warm pod; False when there is none for it.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        await self.look_up(record)
        if self._has_pod(record, generation):
            return True
        grace = spec.lifecycle.seconds("shutdown_grace")
        own = spec.lifecycle.overridden_by(record.session.spec.lifecycle)
        if own.seconds("shutdown_grace") > grace:
            # The kubelet would kill a warm pod in the middle of this session's goodbye.
            return False
        wanted = templates.for_session(record.session.uid, generation)
        if wanted is templates.canary and spec.pool.most < 2:
            # No pod of the canary ever waits, and its share of the sessions shall try it.
            return False
        tried: set[str] = set()
        while pod := self._best(record, wanted, templates, tried):
            tried.add(pod.uid)
            if await self._take(pod, record, generation):
                return True
            self.metrics.claim_lost(pod.agent)
        return False

    def _has_pod(self, record: Record, generation: int) -> bool:
        """Whether the session has this pod already; those of lost agents may be there as well."""
        return any(pod.generation >= generation for pod in self.world.pods_of(record.session))

    async def look_up(self, record: Record) -> None:
        """Ask the API server whether the session got a pod by a request whose answer got lost."""
        if record.claim_unsure:
            namespace, name = record.session.key
            for raw in await self.kube.list_all(PODS, namespace, f"{LABEL_SESSION}={name}"):
                self.world.put_pod(parse_pod(raw))
            record.claim_unsure = False

    def _best(
        self, record: Record, wanted: Template, templates: Templates, tried: set[str]
    ) -> Pod | None:
        """Return the pod to claim next.

        A cordoned node comes last: a call there would keep it from being drained. Pods of the
        template that the session should get come first; while one is being rolled out, an older one
        is still seconds sooner than a cold start. Those of a canary are for its share of the
        sessions alone. Then the node with the most calls, so that idle nodes empty, and then the
        oldest pod.
        """
        canary = templates.canary
        barred = canary.hash if canary and wanted is not canary else None
        taken = self.world.claiming | tried
        return min(
            (
                pod
                for pod in self.world.idle_pods(record.session.agent)
                if pod.ready
                and not pod.deleting
                and pod.uid not in taken
                and pod.template_hash != barred
            ),
            key=lambda pod: (
                pod.node in self.world.cordoned,
                pod.template_hash != wanted.hash,
                -self.world.calls_on(pod.node),
                pod.created,
                pod.key,
            ),
            default=None,
        )

    async def _take(self, pod: Pod, record: Record, generation: int) -> bool:
        session = record.session
        namespace, name = session.key
        owner = Owner(namespace, name, session.uid, session.spec.agent_ref.name, session.spec.room)
        patch = claim_patch(pod.uid, pod.version, owner, generation, self.clock())
        self.world.claiming.add(pod.uid)
        try:
            claimed = await self.kube.patch(PODS, *pod.key, patch)
        except NotFound:
            self.world.drop_pod(pod.key, pod.uid)
            return False
        except Conflict:
            # It has changed; the watch will say how. Unless it is this session's by now: another
            # operator, which led until a moment ago, chooses the same pod.
            record.claim_unsure = True
            await self.look_up(record)
            return self._has_pod(record, generation)
        except Unavailable:
            record.claim_unsure = True
            raise
        finally:
            self.world.claiming.discard(pod.uid)
        self.world.put_pod(parse_pod(claimed))
        return True
