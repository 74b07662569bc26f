"""The operator's real parts, put together as its process does, around doors of a test's own."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType

from tests.support.hours import now
from voicepod.assignment.client import PodClient
from voicepod.builders.pod import Sidecar
from voicepod.checkpoints import Checkpoints
from voicepod.credentials import CredentialStore
from voicepod.handlers.intake import Intake
from voicepod.kube.client import Kube
from voicepod.kube.events import Events
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.rooms import Rooms
from voicepod.reconcile.actor import Actor
from voicepod.reconcile.agents import AgentReconciler
from voicepod.reconcile.claims import Claims
from voicepod.reconcile.drain import BudgetReconciler
from voicepod.reconcile.headroom import HeadroomReconciler
from voicepod.reconcile.loop import Loop, Queue
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.places import Places
from voicepod.reconcile.pool import PoolReconciler
from voicepod.reconcile.rush import Rush
from voicepod.reconcile.sessions import SessionReconciler
from voicepod.reconcile.templates import TemplateBook
from voicepod.reconcile.world import World


class OperatorParts:
    """An operator that knows nothing yet."""

    def __init__(
        self,
        kube: Kube,
        pods: PodClient,
        rooms: Callable[[Credentials], Rooms],
        events: Events,
        clock: Callable[[], datetime],
        limits: Mapping[str, int] = MappingProxyType({}),
        pools_kube: Kube | None = None,
    ) -> None:
        """``pools_kube`` is the pools' own door, for a test that watches what they do."""
        self.world, self.queue = World(), Queue()
        self.metrics = Metrics(self.world, clock)
        self.intake = Intake(self.world, self.queue, self.metrics, clock)
        credentials = CredentialStore(kube, now)
        templates = TemplateBook(Sidecar("voicepod/operator", "http://operator", "public-key"))
        actor = Actor(
            self.world,
            kube,
            pods,
            rooms,
            credentials,
            Checkpoints(kube, pods),
            Claims(self.world, kube, clock, self.metrics),
            templates,
            clock,
            self.intake.claimed,
        )
        rush = Rush()
        self.pools = PoolReconciler(self.world, pools_kube or kube, templates, events, clock, rush)
        self.sessions = SessionReconciler(
            self.world,
            kube,
            actor,
            events,
            clock,
            self.metrics,
            Places(self.world, clock, limits, self.intake.turn),
        )
        self.agents = AgentReconciler(
            self.world,
            kube,
            rooms,
            credentials,
            templates,
            events,
            clock,
            self.intake.sessions_of,
            self.intake.pool,
        )
        self.loop = Loop(
            self.world,
            self.queue,
            self.sessions,
            self.agents,
            self.pools,
            BudgetReconciler(self.world, kube),
            HeadroomReconciler(self.world, kube, templates),
            self.metrics,
            rush,
        )
