"""How much goes wrong. Each run has a weather of its own, and a calm after it."""

from dataclasses import dataclass, field, fields

from tests.simulation.chance import Chance

# What a kind of fault may be like in a run: mostly it is not there at all, so that each run tries a
# few kinds together, and none hides behind the others.
_RATES = (0.0, 0.0, 0.02, 0.1, 0.3)


def _rate() -> float:
    return field(default=0.0)


@dataclass(frozen=True, slots=True)
class Weather:
    """Probabilities, each of one request, event, pod or second."""

    kube_refused: float = _rate()
    """A request to the API server fails, and nothing was done: 429, 500, a time-out."""
    kube_lost: float = _rate()
    """What was asked for is done, and the answer gets lost."""
    kube_slow: float = _rate()
    kube_conflict: float = _rate()
    """A patch is answered with 409, as after too many retries in the API server."""
    livekit_refused: float = _rate()
    livekit_lost: float = _rate()
    livekit_slow: float = _rate()
    pod_refused: float = _rate()
    """A pod's sidecar cannot be reached."""
    pod_lost: float = _rate()
    hint_lost: float = _rate()
    watch_slow: float = _rate()
    watch_stalls: float = _rate()
    watch_breaks: float = _rate()
    """A watch has to begin anew, and never tells what was deleted meanwhile."""
    webhook_lost: float = _rate()
    webhook_doubled: float = _rate()
    webhook_late: float = _rate()
    operator_killed: float = _rate()
    """With a request; never before its answer has come more often than every few requests."""
    gateway_killed: float = _rate()
    pod_unscheduled: float = _rate()
    pod_crashes_at_start: float = _rate()
    pod_never_ready: float = _rate()
    node_drained: float = _rate()
    agent_refuses: float = _rate()
    agent_never_joins: float = _rate()
    agent_joins_late: float = _rate()
    agent_crashes: float = _rate()
    agent_hangs: float = _rate()
    agent_deaf: float = _rate()
    """It does not end its job when it is told to."""
    agent_closes_room: float = _rate()
    node_dies: float = _rate()
    pod_crashes: float = _rate()
    """Its agent ends by itself, be it in a call or not."""
    api_server_away: float = _rate()
    """Every few seconds: for a while nobody reaches it."""
    livekit_restarted: float = _rate()
    """Every few seconds: it forgets its rooms, and clients come back to rooms of the same names."""


CALM = Weather()

# What comes together: of an API server that has too much to do, and of an agent that blocks.
_OVERLOAD = ("kube_lost", "kube_slow", "watch_slow")
_BAD_AGENT = ("agent_hangs", "agent_deaf", "agent_joins_late")


def drawn(chance: Chance) -> Weather:
    """Return the weather of a run."""
    rates = {part.name: chance.one_of(_RATES) for part in fields(Weather)}
    for together in (_OVERLOAD, _BAD_AGENT):
        if chance.happens(0.25):
            rates |= dict.fromkeys(together, max(_RATES))
    for seldom in ("operator_killed", "gateway_killed", "node_dies", "pod_crashes"):
        rates[seldom] /= 5
    return Weather(**rates)
