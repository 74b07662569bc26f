"""What the gateway counts. No label holds a name that somebody outside can choose."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from voicepod.gateway.outcome import Outcome

# Every event that LiveKit sends; https://docs.livekit.io/intro/basics/rooms-participants-tracks/webhooks-events/
_EVENTS: Final = frozenset(
    {
        "room_started",
        "room_finished",
        "participant_joined",
        "participant_left",
        "participant_connection_aborted",
        "track_published",
        "track_unpublished",
        "egress_started",
        "egress_updated",
        "egress_ended",
        "ingress_started",
        "ingress_ended",
    }
)

# In seconds: a creation takes a few milliseconds, an agent's join with a warm pod some hundred, and
# both ten seconds where the API server is slow.
_BUCKETS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """The gateway's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._webhooks = Counter(
            "voicepod_gateway_webhooks",
            "Webhooks of LiveKit, by their event and by what became of them.",
            ["event", "outcome"],
            registry=self.registry,
        )
        self._created = Histogram(
            "voicepod_gateway_session_created_seconds",
            "From the arrival of a webhook until its VoiceSession was there.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._swept = Counter(
            "voicepod_gateway_sweep_findings",
            "Rooms that were found to be other than their sessions knew, by what became of it.",
            ["outcome"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "voicepod_gateway_token_requests",
            "Requests for a token, by what became of them.",
            ["outcome"],
            registry=self.registry,
        )
        self._token_seconds = Histogram(
            "voicepod_gateway_token_seconds",
            "From the arrival of a request until it had its token: ready, if the agent was in the "
            "room by then, or starting.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def webhook(self, event: str, outcome: Outcome, seconds: float) -> None:
        """Count a webhook that took so long. An ``event`` that was not read is empty."""
        known = event if event in _EVENTS else "other" if event else "unread"
        self._webhooks.labels(known, outcome.label).inc()
        if outcome is Outcome.CREATED:
            self._created.observe(seconds)

    def swept(self, outcome: Outcome) -> None:
        """Count a room that a sweep found to be other than its session knew."""
        self._swept.labels(outcome.label).inc()

    def token(self, outcome: Outcome, seconds: float) -> None:
        """Count a request for a token that took so long."""
        self._tokens.labels(outcome.label).inc()
        if outcome in (Outcome.READY, Outcome.STARTING):
            self._token_seconds.labels(outcome.label).observe(seconds)
