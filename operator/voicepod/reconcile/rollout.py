"""What a changed template has to go through: tried by a few, then for all or taken back. Pure."""

import hashlib
import json
import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from voicepod.api.agent import VoiceAgentSpec
from voicepod.api.rollout import RolloutState, RolloutStatus, Tally
from voicepod.builders.pod import without_nulls
from voicepod.kube.events import Note

# Before anything is known of the stable template it is taken to have had one failure in twenty
# sessions, and these count beside its own: one unlucky call proves nothing.
_ASSUMED: Final = Tally(ended=20, failed=1)

# A canary is taken back when the stable template, at its own rate of failures, would have done as
# badly in less than one of twenty such trials.
_DOUBT: Final = 0.05

# Sessions that a canary must have brought to a good end, beside its time, before it is for all.
_PROVEN: Final = 5

# 64 bits: two templates of one VoiceAgent never meet in them by chance.
_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class Step:
    """Where a rollout goes next, and what there is to say about it."""

    status: RolloutStatus | None
    note: Note | None = None


def digest(spec: VoiceAgentSpec) -> str:
    """Return what tells one template from another."""
    text = json.dumps(_template(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _template(spec: VoiceAgentSpec) -> dict[str, Any]:
    # A patch of the status cannot hold a null, which means nothing in a manifest either.
    template: dict[str, Any] = without_nulls(spec.template)
    return template


def has_canary(spec: VoiceAgentSpec, status: RolloutStatus | None) -> bool:
    """Whether a share of the sessions tries ``spec.template``, and the others ``status.stable``."""
    return _is_changed(spec, status) and not _is_taken_back(spec, status)


def _is_changed(spec: VoiceAgentSpec, status: RolloutStatus | None) -> bool:
    return bool(spec.rollout.canary and status and status.stable != _template(spec))


def _is_taken_back(spec: VoiceAgentSpec, status: RolloutStatus | None) -> bool:
    return bool(
        status and status.state is RolloutState.TAKEN_BACK and status.candidate == digest(spec)
    )


def stable_of(spec: VoiceAgentSpec, status: RolloutStatus | None) -> dict[str, Any]:
    """Return the template of the sessions that try nothing new."""
    return status.stable if status and _is_changed(spec, status) else spec.template


def advance(spec: VoiceAgentSpec, status: RolloutStatus | None, now: datetime) -> Step:
    """Return the next step of a rollout; the status is None where no canary is asked for."""
    if not spec.rollout.canary:
        return Step(None)
    if status is None or status.stable == _template(spec):
        if status and status.state is RolloutState.STABLE:
            return Step(status)
        return Step(RolloutStatus(stable=_template(spec), since=now))
    if _is_taken_back(spec, status):
        return Step(status)
    candidate = digest(spec)
    if status.state is not RolloutState.CANARY or status.candidate != candidate:
        return _start(spec, status, candidate, now)
    if is_worse(status.canary_sessions, status.stable_sessions):
        return _take_back(status, now)
    return _promote_if_proven(spec, status, now)


def _start(spec: VoiceAgentSpec, status: RolloutStatus, candidate: str, now: datetime) -> Step:
    begun = RolloutStatus(
        state=RolloutState.CANARY, stable=status.stable, candidate=candidate, since=now
    )
    share = spec.rollout.canary
    return Step(begun, Note("CanaryStarted", f"{share} % of the new sessions try the new template"))


def _take_back(status: RolloutStatus, now: datetime) -> Step:
    tried, others = status.canary_sessions, status.stable_sessions
    back = status.model_copy(update={"state": RolloutState.TAKEN_BACK, "since": now})
    message = (
        f"the new template is taken back: {tried.failed} of its {tried.ended} sessions failed, "
        f"and {others.failed} of {others.ended} of the template before; change spec.template "
        "to try again"
    )
    return Step(back, Note("CanaryTakenBack", message, warning=True))


def _promote_if_proven(spec: VoiceAgentSpec, status: RolloutStatus, now: datetime) -> Step:
    tried = status.canary_sessions
    over = (status.since or now) + timedelta(seconds=spec.rollout.canary_seconds)
    if now < over or tried.ended - tried.failed < _PROVEN:
        return Step(status)
    message = f"the new template is for all: {tried.failed} of {tried.ended} sessions failed"
    return Step(RolloutStatus(stable=_template(spec), since=now), Note("CanaryProved", message))


def is_worse(canary: Tally, stable: Tally) -> bool:
    """Whether the canary's sessions fail more than those of the stable template.

    One-sided binomial test: how likely at least so many failures are at the stable one's rate.
    """
    assumed = (stable.failed + _ASSUMED.failed) / (stable.ended + _ASSUMED.ended)
    rate = max(assumed, stable.failed / max(stable.ended, 1))
    at_least = sum(
        math.comb(canary.ended, failed) * rate**failed * (1 - rate) ** (canary.ended - failed)
        for failed in range(canary.failed, canary.ended + 1)
    )
    return canary.failed > 0 and at_least < _DOUBT
