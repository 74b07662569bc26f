"""What the operator counts and times.

Labels hold names that platform teams give (a namespace, a VoiceAgent) and constants of ours; never
a room, a session, a pod, or anything else that a caller can choose. Only VoiceAgents that are there
have series of their own: what happens to the sessions of others is counted without a name.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from voicepod.api.conditions import Reason
from voicepod.api.session import PodSeconds, Times, VoiceSessionStatus
from voicepod.reconcile.ledger import Use
from voicepod.reconcile.objects import Key, Pod, Session
from voicepod.reconcile.story import USUAL
from voicepod.reconcile.world import World

# In seconds. Close together where a warm pod's steps are, up to a cold start that pulls an image;
# startDeadline is a minute unless somebody says otherwise.
_STEP: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 30, 60)

# In seconds: a small agent is up in two; one that loads a model, or waits for a node, in minutes.
_REFILL: Final = (1, 2, 3, 5, 7, 10, 15, 20, 30, 45, 60, 90, 120, 300)

# In seconds: a moment between two calls, up to the longest queueDeadline.
_QUEUED: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)

# In seconds: from a look at the cache to an agent that hesitates to take its job.
_WORK: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30)

AGENT: Final = ("agent_namespace", "agent")
"""The labels of what belongs to a VoiceAgent.

Not ``namespace``: Prometheus gives it to every series of a target, for where the target is, and
renames ours.
"""

NOBODY: Final = ("", "")
"""Their values for sessions whose VoiceAgent is not there; Prometheus takes them for no labels."""

# Each step of the way of a call after its first, and the one before it.
_STEPS: Final = (
    ("assigned", "claimed"),
    ("joined", "assigned"),
    ("first_audio", "joined"),
)


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self, world: World, clock: Callable[[], datetime]) -> None:
        self._world = world
        self._clock = clock
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)
        self._received = counter("voicepod_sessions_received", "Sessions that were made.", AGENT)
        self._ended = counter(
            "voicepod_sessions_ended",
            "Sessions that are over, by phase (Ended or Failed) and reason.",
            (*AGENT, "phase", "reason"),
        )
        self._pod_seconds = counter(
            "voicepod_pod_seconds",
            "How long pods were there, by what for; counted when their session is over, or, if "
            "none ever claimed them, when they are gone.",
            (*AGENT, "use"),
        )
        self._problems = counter(
            "voicepod_session_problems",
            "Each time that something began to keep a session from going on, by reason.",
            (*AGENT, "reason"),
        )
        self._lost = counter(
            "voicepod_agents_lost",
            "Agents that a call has lost, by reason; another pod took it over, or it failed.",
            (*AGENT, "reason"),
        )
        self._takeover = histogram(
            "voicepod_takeover_seconds",
            "From the news that a call has lost its agent until another one's audio was there.",
            (*AGENT, "reason"),
            buckets=_STEP,
        )
        self._step = histogram(
            "voicepod_session_step_seconds",
            "Each step of the way of a call, from the step before it.",
            (*AGENT, "way", "step"),
            buckets=_STEP,
        )
        self._start = histogram(
            "voicepod_session_start_seconds",
            "From the making of a session until its agent was in the room, or its audio was there.",
            (*AGENT, "way", "until"),
            buckets=_STEP,
        )
        self._queued = histogram(
            "voicepod_session_queued_seconds",
            "How long sessions waited for a place, until their turn came (served) or they gave up.",
            (*AGENT, "outcome"),
            buckets=_QUEUED,
        )
        self._goodbye = histogram(
            "voicepod_session_goodbye_seconds",
            "From the decision that a session is over until its pod was told to go.",
            AGENT,
            buckets=_STEP,
        )
        self._claims_lost = counter(
            "voicepod_pool_claims_lost",
            "Claims of a warm pod that had just changed or was gone; the next one was tried.",
            AGENT,
        )
        self._refill = histogram(
            "voicepod_pool_refill_seconds",
            "From the making of a warm pod until it was ready.",
            AGENT,
            buckets=_REFILL,
        )
        self._pool_problems = counter(
            "voicepod_pool_problems",
            "Each time that something kept a warm pod from coming up, by reason.",
            (*AGENT, "reason"),
        )
        self._work = histogram(
            "voicepod_reconcile_seconds",
            "Work on one object: a look at it, and all that this led to.",
            ("kind",),
            buckets=_WORK,
        )
        self._retries = counter(
            "voicepod_reconcile_retries",
            "Objects that had to be looked at again because something failed.",
            ("kind",),
        )
        self._of_agents = (
            self._received,
            self._ended,
            self._pod_seconds,
            self._problems,
            self._lost,
            self._takeover,
            self._step,
            self._start,
            self._queued,
            self._goodbye,
            self._claims_lost,
            self._refill,
            self._pool_problems,
        )

    def session(
        self, session: Session, before: VoiceSessionStatus, status: VoiceSessionStatus
    ) -> None:
        """Count what is new in the status of a session, against the one before."""
        names = self._names(session.agent)
        old, new = before.times, status.times
        if new.received and not old.received:
            self._received.labels(*names).inc()
        self._waited(names, old, new, status.phase.finished)
        self._steps(session, names, old, new)
        for loss in status.lost[len(before.lost) :]:
            self._lost.labels(*names, loss.reason).inc()
        told = {loss.generation for loss in before.lost if loss.taken_over}
        for loss in status.lost:
            if loss.taken_over and loss.generation not in told:
                # The clocks of two nodes may differ by more than a take-over takes.
                seconds = max(0.0, (loss.taken_over - loss.at).total_seconds())
                self._takeover.labels(*names, loss.reason).observe(seconds)
        if status.phase.finished and not before.phase.finished:
            self._ended.labels(*names, status.phase, str(status.end_reason)).inc()
            self._spend(names, status.pod_seconds or PodSeconds())
            self._observe(self._goodbye, names, new, "ending", "ended")

    def _spend(self, names: Key, spent: PodSeconds) -> None:
        self._pod_seconds.labels(*names, Use.WARM).inc(spent.warm)
        self._pod_seconds.labels(*names, Use.TALKING).inc(spent.talking)
        self._pod_seconds.labels(*names, Use.WAITING).inc(spent.waiting)

    def _waited(self, names: Key, old: Times, new: Times, finished: bool) -> None:
        if new.placed and new.claimed and not old.claimed:
            self._observe(self._queued, (*names, "served"), new, "queued", "placed")
        elif finished and not (new.claimed or old.ended):
            self._observe(self._queued, (*names, "gave_up"), new, "queued", "ended")

    def _steps(self, session: Session, names: Key, old: Times, new: Times) -> None:
        pods = self._world.pods_of(session)
        if not pods:
            # It went away just now, and nobody knows any more whether it had been warm.
            return
        way = "warm" if pods[0].claimed else "cold"
        # The wait in line has a histogram of its own, and says nothing of how soon pods start.
        began = "placed" if new.placed else "received"
        for step, before in (("claimed", began), *_STEPS):
            if getattr(old, step) is None:
                self._observe(self._step, (*names, way, step), new, before, step)
                if step in ("joined", "first_audio"):
                    self._observe(self._start, (*names, way, step), new, began, step)

    @staticmethod
    def _observe(
        histogram: Histogram, labels: tuple[str, ...], times: Times, start: str, end: str
    ) -> None:
        began, ended = getattr(times, start), getattr(times, end)
        if began and ended:
            # The clocks of two nodes may differ by more than a step takes.
            histogram.labels(*labels).observe(max(0.0, (ended - began).total_seconds()))

    def stuck(self, session: Session, reason: Reason) -> None:
        """Count what keeps a session from going on."""
        self._problems.labels(*self._names(session.agent), reason).inc()

    def claim_lost(self, agent: Key) -> None:
        """Count a claim that was not granted."""
        self._claims_lost.labels(*self._names(agent)).inc()

    def pod(self, known: Pod | None, pod: Pod) -> None:
        """Count what has become of a pod that waits for a session; ``known`` is as it was."""
        if known is None or pod.session or pod.deleting:
            return
        names = self._names(pod.agent)
        if pod.ready_since and not known.ready:
            seconds = (pod.ready_since - pod.created).total_seconds()
            self._refill.labels(*names).observe(max(0.0, seconds))
        reason = _problem(pod)
        if reason and reason != _problem(known):
            self._pool_problems.labels(*names, reason).inc()

    def pod_gone(self, pod: Pod) -> None:
        """Count a pod that is there no more, if no session ever had it."""
        if pod.session is None and pod.node:
            seconds = (self._clock() - pod.created).total_seconds()
            names = self._names(pod.agent)
            self._pod_seconds.labels(*names, Use.UNCLAIMED).inc(max(0.0, seconds))

    def work(self, kind: str) -> AbstractContextManager[object]:
        """Time the work on an object."""
        return self._work.labels(kind).time()

    def retry(self, kind: str) -> None:
        """Count an object that has to be looked at again."""
        self._retries.labels(kind).inc()

    def forget(self, agent: Key) -> None:
        """Drop the series of a VoiceAgent that is gone."""
        for metric in self._of_agents:
            metric.remove_by_labels(dict(zip(AGENT, agent, strict=True)))

    def _names(self, agent: Key) -> Key:
        return agent if agent in self._world.agents else NOBODY


def _problem(pod: Pod) -> Reason | None:
    """Return what keeps a pod from being ready, unless every pod goes through it."""
    return pod.problem.reason if pod.problem and pod.problem.reason not in USUAL else None
