"""What can become of a webhook or of a request for a token: a metric's label, an answer's status.

LiveKit repeats a webhook that is answered with 5xx, four times within 15 seconds, and drops it
then; meanwhile the later events of the same room wait. One that is answered with 4xx it drops at
once. A ``Retry-After`` would only make it less patient: it replaces the growing pauses.
https://github.com/livekit/protocol/blob/main/webhook/resource_url_notifier.go
"""

from enum import Enum


class Outcome(Enum):
    """The label and the HTTP status."""

    CREATED = "created", 200
    """A session was made."""
    EXISTS = "exists", 200
    """The room has its session, which need not know of the event."""
    TOUCHED = "touched", 200
    """The operator looks at the room."""
    IGNORED = "ignored", 200
    """The event does not matter to any session."""
    UNWANTED = "unwanted", 200
    """No VoiceAgent wants the room."""
    NAME_TOO_LONG = "name_too_long", 200
    """The room's name does not fit into a session."""

    READY = "ready", 201
    """The caller has a token, and the agent is in the room."""
    STARTING = "starting", 201
    """The caller has a token, and the agent is on its way."""
    DENIED = "denied", 403
    """The platform's hook does not let the caller in; it may also say 401."""
    FOREIGN_ORIGIN = "foreign_origin", 403
    """A web page asks for a token that is none of the platform's."""
    NO_AGENT = "no_agent", 422
    """The request fits no VoiceAgent, or several."""
    HOOK_FAILED = "hook_failed", 503
    """The platform's hook does not answer, or nothing that it may answer."""
    FAILED = "failed", 503
    """The session was over before its caller could come."""

    MALFORMED = "malformed", 400
    UNAUTHORIZED = "unauthorized", 401
    TOO_SLOW = "too_slow", 408
    TOO_LARGE = "too_large", 413

    FULL = "full", 429
    """All places are taken, and nobody shall wait."""

    REFUSED = "refused", 500
    """The API server does not take the session. Trying again helps where somebody is just mending
    it, such as an upgrade that grants rights."""
    BUSY = "busy", 503
    """More requests are under way than the gateway takes at once."""
    ENDING = "ending", 503
    """A caller comes while the room's session says goodbye; there can be a new one after it."""
    UNAVAILABLE = "unavailable", 503
    """The API server or LiveKit cannot answer, or not everything is listed yet."""

    def __init__(self, label: str, status: int) -> None:
        self.label = label
        self.status = status
