"""Nodes that are drained: their calls go on to their end, and nothing new comes to them.

An eviction asks PodDisruptionBudgets alone. One that always stood would cost its controller three
writes for each call. So a namespace has one only while it has calls on cordoned nodes, which is
where a drain begins; a call that is evicted before it stands is taken over by another pod.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from voicepod.builders.budget import build_budget
from voicepod.kube.client import BUDGETS, Kube
from voicepod.kube.errors import Conflict, NotFound
from voicepod.kube.events import Note
from voicepod.reconcile.actor import lifecycle_of
from voicepod.reconcile.objects import Key, Pod
from voicepod.reconcile.records import Record
from voicepod.reconcile.sessions import Outcome
from voicepod.reconcile.world import World


@dataclass(frozen=True, slots=True)
class Draining:
    """The calls of a VoiceAgent that keep nodes from being free."""

    calls: int = 0
    until: datetime | None = None
    """When the last of them is over at the latest."""
    nodes: tuple[str, ...] = ()

    def note(self) -> Note:
        """Return what an Event says of it."""
        if not self.calls:
            return Note("Drained", "no call is on a cordoned node any more")
        until = f", until {self.until:%Y-%m-%d %H:%M:%S %Z} at the latest" if self.until else ""
        message = f"on cordoned nodes ({', '.join(self.nodes)}) calls go on: {self.calls}{until}"
        return Note("Draining", message)


def draining(world: World, agent: Key) -> Draining:
    """Return which calls of a VoiceAgent are on cordoned nodes."""
    pods = [pod for pod in _calls(world) if pod.agent == agent]
    records = [world.records.get(pod.session) for pod in pods if pod.session]
    return Draining(
        calls=len(pods),
        until=max((_latest_end(record) for record in records if record), default=None),
        nodes=tuple(sorted({pod.node for pod in pods})),
    )


def _calls(world: World) -> Iterator[Pod]:
    """Yield the pods with a call that are on cordoned nodes."""
    for node in world.cordoned:
        yield from (pod for pod in world.live_pods_on(node) if not pod.deleting)


def _latest_end(record: Record) -> datetime:
    """Return when a session is over, should nobody end it before."""
    times, lifecycle = record.status.times, lifecycle_of(record)

    def after(moment: datetime, duration: str) -> datetime:
        return moment + timedelta(seconds=lifecycle.seconds(duration))

    if times.ending:
        return after(times.ending, "shutdown_grace")
    joined = times.joined or after(times.claimed or record.session.created, "start_deadline")
    return after(joined, "max_duration")


@dataclass(frozen=True, slots=True)
class BudgetReconciler:
    """Has a PodDisruptionBudget wherever calls are on cordoned nodes, and nowhere else."""

    world: World
    kube: Kube
    _stands: dict[str, bool] = field(default_factory=dict)
    """By namespace, whether its budget is there. An operator that begins to lead knows of none."""

    async def reconcile(self, key: Key) -> Outcome:
        """Make or delete the budget with this key, if that is called for.

        Raises an exception of ``kube.errors`` when the API server does not do it.
        """
        namespace, _ = key
        wanted = any(pod.key[0] == namespace for pod in _calls(self.world))
        if self._stands.get(namespace) is not wanted:
            # Not known until there is an answer.
            self._stands.pop(namespace, None)
            await (self._make(namespace) if wanted else self._delete(key))
            self._stands[namespace] = wanted
        return Outcome()

    async def _make(self, namespace: str) -> None:
        try:
            await self.kube.create(BUDGETS, namespace, build_budget(namespace))
        except Conflict:
            # The operator that led before has made it.
            return

    async def _delete(self, key: Key) -> None:
        try:
            budget = await self.kube.get(BUDGETS, *key)
            await self.kube.delete(BUDGETS, *key, uid=budget["metadata"]["uid"])
        except NotFound:
            return
