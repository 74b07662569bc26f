"""Whether the caller is being answered, judged by what the runtime in the agent's process reports.

An agent without the runtime reports nothing, and is judged by its websocket alone; nobody hears
whether anybody speaks then.
"""

from dataclasses import dataclass
from typing import Final

from voicepod.assignment.codec import Message
from voicepod.assignment.messages import End, EndReason, Speech

TICK: Final = 0.5
"""Seconds between two looks at the beats."""

# Seconds without a beat, of which the agent's own event loop sends one each second. What stops a
# sound agent's loop is shorter: a third of a second for a recognizer that keeps the interpreter's
# lock, one or two for a model that is loaded in mid-call. And as long as the loop stands still no
# audio leaves the agent, so that five seconds are what a caller hears as a dead line.
_HUNG: Final = 5.0

# Seconds that a caller waits for an answer. LiveKit's SDK gives a model ten, pauses for two, and
# asks once more: an answer to the second request comes in time. And as many without a beat while
# the agent's session starts, which may load models on a slow machine.
_SILENT: Final = 20.0

# The state of a session that starts.
_STARTING: Final = "initializing"


@dataclass(frozen=True, slots=True)
class Beat(Message):
    """How the agent is, told each second and with every change."""

    speech: Speech
    waited: float = 0.0
    """Seconds that a caller has been waiting for the agent to speak, 0.0 if nobody does."""
    quiet: float = 0.0
    """Seconds since anybody spoke in a call that somebody is in."""
    error: str = ""
    """Why the agent's session has closed by itself, and will never speak again."""
    last: bool = False
    """No beat will follow, as the session has closed."""


class Health:
    """The beats so far.

    The time without one is counted in ticks of this process: when the whole machine is starved or
    stopped, its own ticks come late as well, and the agent is not blamed for it.
    """

    def __init__(self) -> None:
        self._last: Beat | None = None
        self._ticks = 0

    @property
    def speech(self) -> Speech | None:
        """How the agent talks; None when it has never told."""
        return self._last.speech if self._last else None

    @property
    def quiet(self) -> float:
        """Seconds since anybody spoke; 0.0 when nobody tells."""
        return self._last.quiet if self._last else 0.0

    def beat(self, beat: Beat) -> None:
        """A beat has come."""
        self._last, self._ticks = beat, 0

    def tick(self) -> None:
        """``TICK`` seconds have passed."""
        self._ticks += 1

    def verdict(self) -> End | None:
        """Return why the agent is as good as gone, or None while it is well."""
        beat = self._last
        if beat is None:
            return None
        if beat.error:
            return End(EndReason.AGENT_SILENT, f"the agent's session has closed: {beat.error}")
        if beat.waited >= _SILENT:
            return End(
                EndReason.AGENT_SILENT,
                f"the caller has waited for the agent to speak for {beat.waited:.0f} seconds, "
                f"and it is {beat.speech.state}",
            )
        patience = _SILENT if beat.speech.state == _STARTING else _HUNG
        if not beat.last and self._ticks * TICK >= patience:
            return End(
                EndReason.AGENT_HUNG,
                f"the agent's event loop has stood still for {patience:g} seconds",
            )
        return None
