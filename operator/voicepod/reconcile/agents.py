"""The status of a VoiceAgent: whether its sessions can start, and how many there are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from voicepod.api.conditions import ConditionType, Reason, condition, with_condition
from voicepod.api.rollout import RolloutStatus, Tally
from voicepod.api.session import Phase
from voicepod.builders.pod import Owner, PodKeys, Template, build_pod
from voicepod.credentials import CredentialsError, CredentialStore
from voicepod.kube.client import PODS, VOICE_AGENTS, Kube
from voicepod.kube.errors import KubeError, NotFound, Refused, Unavailable
from voicepod.kube.events import Events, Note, Regarding
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.errors import Unauthorized, Unreachable
from voicepod.livekit.rooms import Rooms
from voicepod.reconcile.drain import draining
from voicepod.reconcile.merge import merge_patch
from voicepod.reconcile.objects import Agent, Key, Problem, parse_agent
from voicepod.reconcile.rollout import advance
from voicepod.reconcile.sessions import Outcome
from voicepod.reconcile.templates import Outcomes, TemplateBook
from voicepod.reconcile.world import World

# What is broken is looked at often, so that it is seen to be mended soon; what works, seldom.
_CHECK_BROKEN: Final = timedelta(seconds=10)
_CHECK_WORKING: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Check:
    uid: str
    generation: int
    at: datetime
    problem: Problem | None


@dataclass(frozen=True, slots=True)
class AgentReconciler:
    """Keeps the status of VoiceAgents true."""

    world: World
    kube: Kube
    rooms: Callable[[Credentials], Rooms]
    credentials: CredentialStore
    templates: TemplateBook
    events: Events
    clock: Callable[[], datetime]
    on_ready: Callable[[Key], None]
    """Called when an agent's sessions can start (again)."""
    on_rollout: Callable[[Key], None]
    """Called when an agent's pool is to hold pods of other templates."""
    _checks: dict[Key, _Check] = field(default_factory=dict)

    async def reconcile(self, key: Key) -> Outcome:
        """Bring the status of a VoiceAgent up to date.

        Raises an exception of ``kube.errors`` when the API server cannot be asked.
        """
        agent = self.world.agents.get(key)
        if agent is None:
            self._checks.pop(key, None)
            return Outcome()
        check = await self._checked(agent)
        known = self.world.agents.get(key)
        if known is None or known.uid != agent.uid:
            # Deleted meanwhile, which has it looked at anew.
            return Outcome()
        await self._write_status(agent, check.problem)
        due = check.at + (_CHECK_BROKEN if check.problem else _CHECK_WORKING)
        return Outcome((due - self.clock()).total_seconds())

    async def _checked(self, agent: Agent) -> _Check:
        last, now = self._checks.get(agent.key), self.clock()
        if last and (last.uid, last.generation) == (agent.uid, agent.generation):
            age = now - last.at
            if age < (_CHECK_BROKEN if last.problem else _CHECK_WORKING):
                return last
        check = _Check(agent.uid, agent.generation, now, await self._problem(agent))
        self._checks[agent.key] = check
        if check.problem is None and (last is None or last.problem is not None):
            self.on_ready(agent.key)
        return check

    async def _problem(self, agent: Agent) -> Problem | None:
        try:
            credentials = await self.credentials.get(agent.key[0], agent.spec.livekit)
            await self.rooms(credentials).check()
            await self.kube.create(PODS, agent.key[0], self._sample_pod(agent), dry_run=True)
        except CredentialsError as error:
            return Problem(error.reason, error.message)
        except Unauthorized as error:
            self.credentials.forget(agent.key[0], agent.spec.livekit)
            return Problem(Reason.LIVEKIT_UNAUTHORIZED, str(error))
        except Unreachable as error:
            return Problem(Reason.LIVEKIT_UNREACHABLE, str(error))
        except Unavailable as error:
            return Problem(
                Reason.POD_NOT_CREATED, f"the API server cannot try spec.template: {error}"
            )
        except Refused as error:
            return Problem(
                Reason.TEMPLATE_REFUSED, f"the API server refuses the pod of spec.template: {error}"
            )
        return None

    def _sample_pod(self, agent: Agent) -> dict[str, object]:
        namespace, name = agent.key
        return build_pod(
            Template(agent.spec.template, "not-asked-for", agent.spec.checkpoint),
            Owner(namespace, "check", agent.uid, name, "a room"),
            1,
            agent.spec.lifecycle.seconds("shutdown_grace"),
            self.templates.sidecar,
            PodKeys("never-used", "never-used"),
        )

    async def _write_status(self, agent: Agent, problem: Problem | None) -> None:
        roster = self.world.roster_of(agent.key)
        phases = roster.phases
        status = agent.status.model_copy(deep=True)
        status.observed_generation = agent.generation
        status.active = phases[Phase.ACTIVE] + phases[Phase.RECONNECTING]
        status.starting = phases[Phase.PENDING] + phases[Phase.STARTING]
        status.queued = phases[Phase.QUEUED]
        idle = [
            pod for pod in self.world.idle_pods(agent.key) if not pod.deleting and not pod.finished
        ]
        status.warm = sum(pod.ready for pod in idle)
        status.warming = len(idle) - status.warm
        now, demand = self.clock(), self.world.demands[agent.key]
        status.wanted = demand.wanted(agent.spec.pool, now)
        status.arrivals_per_minute = float(f"{demand.rate(now) * 60:.2g}")
        status.refill_seconds = demand.refill_seconds
        leaving = draining(self.world, agent.key)
        status.draining, status.drained_by = leaving.calls, leaving.until
        outcomes = self.world.outcomes[agent.key]
        ended = outcomes.take()
        self._tally(agent, status.rollout, ended)
        step = advance(agent.spec, status.rollout, now)
        status.rollout = step.status
        status.last_call = max(filter(None, [roster.last, status.last_call]), default=None)
        reason = problem.reason if problem else Reason.READY
        message = problem.message if problem else "sessions of this agent can start"
        status.conditions = with_condition(
            status.conditions, ConditionType.READY, problem is None, reason, message, now
        )
        patch = merge_patch(agent.status.to_yaml(), status.to_yaml())
        if not patch:
            return
        try:
            written = await self.kube.patch(
                VOICE_AGENTS, *agent.key, {"status": patch}, subresource="status"
            )
        except NotFound:
            # Deleted meanwhile; the watch will say so.
            return
        except KubeError:
            outcomes.put_back(ended)
            raise
        self.world.put_status(parse_agent(written))
        about = Regarding("VoiceAgent", *agent.key, agent.uid)
        if step.note:
            self.events.post(about, step.note)
            self.on_rollout(agent.key)
        if bool(leaving.calls) != bool(agent.status.draining):
            self.events.post(about, leaving.note())
        before = condition(agent.status.conditions, ConditionType.READY)
        if before is None or before.reason != reason:
            self.events.post(about, Note(reason, message, warning=problem is not None))

    def _tally(self, agent: Agent, rollout: RolloutStatus | None, ended: Outcomes) -> None:
        """Add the sessions that ended since the last status to those of their template."""
        if rollout is None:
            return
        templates = self.templates.of(agent)
        _add(rollout.stable_sessions, ended, templates.stable)
        if templates.canary:
            _add(rollout.canary_sessions, ended, templates.canary)


def _add(tally: Tally, ended: Outcomes, template: Template) -> None:
    tally.ended += ended.ended[template.hash]
    tally.failed += ended.failed[template.hash]
