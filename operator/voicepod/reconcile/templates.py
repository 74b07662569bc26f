"""Which template a pod is made from, and which pods a session may get."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from voicepod.builders.pod import Sidecar, Template
from voicepod.builders.warm import hashed
from voicepod.reconcile.objects import Agent, Key
from voicepod.reconcile.rollout import has_canary, stable_of

# Sessions are spread by their uid over as many places as there are percents.
_PERCENT: Final = 100


@dataclass(frozen=True, slots=True)
class Templates:
    """What the new pods of a VoiceAgent are made from."""

    stable: Template
    canary: Template | None = None
    percent: int = 0

    def all(self) -> list[Template]:
        """Return the templates that pods are made from now."""
        return [self.stable, self.canary] if self.canary else [self.stable]

    def for_session(self, uid: str, generation: int) -> Template:
        """Return the template that a session should get; it is the same whenever it is asked.

        Who takes a call over tries nothing new.
        """
        if generation > 1:
            return self.stable
        place = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) % _PERCENT
        return self.canary if self.canary and place < self.percent else self.stable

    def shares(self, wanted: int, most: int) -> dict[str, int]:
        """Return how many pods of each template should wait, of ``most`` at the most.

        A canary has a pod that waits, and so has the stable template, wherever there is room for
        two: a call that tries something new shall not wait longer for it.
        """
        if self.canary is None or not wanted or most < 2:
            return {self.stable.hash: wanted}
        wanted = max(wanted, 2)
        tried = min(wanted - 1, max(1, round(wanted * self.percent / _PERCENT)))
        return {self.stable.hash: wanted - tried, self.canary.hash: tried}


@dataclass(frozen=True, slots=True)
class TemplateBook:
    """The templates of all VoiceAgents; a hash is computed once for each change."""

    sidecar: Sidecar
    _known: dict[Key, tuple[object, Templates]] = field(default_factory=dict)

    def of(self, agent: Agent) -> Templates:
        """Return the templates of a VoiceAgent."""
        rollout = agent.status.rollout
        version = (agent.uid, agent.generation, rollout and (rollout.state, rollout.stable))
        known = self._known.get(agent.key)
        if known is None or known[0] != version:
            known = self._known[agent.key] = version, self._read(agent)
        return known[1]

    def _read(self, agent: Agent) -> Templates:
        spec, rollout = agent.spec, agent.status.rollout
        grace = spec.lifecycle.seconds("shutdown_grace")

        def template(manifest: dict[str, Any]) -> Template:
            return hashed(manifest, spec.checkpoint, grace, self.sidecar)

        stable = template(stable_of(spec, rollout))
        if not has_canary(spec, rollout):
            return Templates(stable)
        return Templates(stable, template(spec.template), spec.rollout.canary)


@dataclass(slots=True)
class Outcomes:
    """How agents fared that no status tells of yet, by the hash of their template."""

    ended: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, template: str, failed: bool) -> None:
        """Count a session that is over, or an agent that was lost before it was."""
        self.ended[template] += 1
        self.failed[template] += failed

    def take(self) -> "Outcomes":
        """Return what was counted, and begin anew."""
        taken = Outcomes(self.ended, self.failed)
        self.ended, self.failed = Counter(), Counter()
        return taken

    def put_back(self, taken: "Outcomes") -> None:
        """Count what was taken as if it had not been."""
        self.ended.update(taken.ended)
        self.failed.update(taken.failed)
