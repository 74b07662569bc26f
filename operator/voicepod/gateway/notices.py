"""What the gateway has to tell people who look at a VoiceAgent, as Events."""

import logging
from typing import Final

from voicepod.gateway.matching import Choice
from voicepod.gateway.objects import Agent
from voicepod.gateway.seldom import Seldom
from voicepod.kube.errors import KubeError
from voicepod.kube.events import Events, Note, Regarding

logger = logging.getLogger(__name__)

# In seconds. The API server keeps Events for an hour: said this often, there is always one to be
# seen, and a busy gateway posts no more for it.
_PERIOD: Final = 3600.0


class Notices:
    """Posts each notice once an hour, however many calls it concerns."""

    def __init__(self, events: Events, seldom: Seldom | None = None) -> None:
        self._events = events
        self._seldom = seldom or Seldom(_PERIOD)

    def contested(self, room: str, choice: Choice) -> None:
        """Several VoiceAgents want a room."""
        winner = choice.agent
        for rival in choice.rivals:
            if not self._seldom.allows(("contested", winner.uid, rival.uid)):
                continue
            self._warn(
                winner,
                "RoomContested",
                f"room {room!r} is also wanted by VoiceAgent {_name(rival)}; this one gets it: the "
                "more specific rule wins, then the older VoiceAgent",
            )
            self._warn(
                rival,
                "RoomContested",
                f"room {room!r} is also wanted by VoiceAgent {_name(winner)}, which gets it: the "
                "more specific rule wins, then the older VoiceAgent",
            )

    def refused(self, room: str, agent: Agent, error: KubeError) -> None:
        """The API server takes no session for a room, and will not until something is mended."""
        logger.error("no session for room %r of VoiceAgent %s: %s", room, _name(agent), error)
        if self._seldom.allows(("refused", agent.uid, type(error))):
            self._warn(
                agent, "SessionRefused", f"no session could be made for room {room!r}: {error}"
            )

    def _warn(self, agent: Agent, reason: str, message: str) -> None:
        about = Regarding("VoiceAgent", *agent.key, agent.uid)
        self._events.post(about, Note(reason, message, warning=True))


def _name(agent: Agent) -> str:
    return "/".join(agent.key)
