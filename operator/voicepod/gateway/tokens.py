"""``POST /token``: LiveKit's standard token endpoint, which prepares the call.

::

    door ──▶ origins ──▶ hook ──▶ placing ──▶ preparation ──▶ a token
    limits   which page  who      which room  its session, and its agent
"""

import random
import secrets
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from voicepod.gateway.directory import Directory
from voicepod.gateway.door import Door, NotTakenError
from voicepod.gateway.hook import Admission, DeniedError
from voicepod.gateway.keyring import Keyring
from voicepod.gateway.metrics import Metrics
from voicepod.gateway.origins import Origins
from voicepod.gateway.outcome import Outcome
from voicepod.gateway.placing import NoPlaceError, place
from voicepod.gateway.preparation import (
    FullError,
    OverError,
    Preparation,
    StillEndingError,
)
from voicepod.gateway.sessions import Wanted
from voicepod.gateway.token_request import TokenRequest, parse_request
from voicepod.kube.errors import KubeError, NotFound, Refused
from voicepod.livekit.tokens import caller_token

# A burst of callers whose pods start cold waits together, and waiting costs a few kilobytes each.
# With bodies of the largest size they still fit into the memory of a small pod.
_PLACES: Final = 256

# Metadata, attributes and the agent's metadata, each as long as it may be.
_MAX_BODY: Final = 256 * 1024

# In bytes: nobody guesses the room or the identity of another caller.
_RANDOM: Final = 8


# In seconds. Of fifty calls of five minutes one ends every six. At random, so that callers who
# were turned away together do not come back together.
_RETRY_AFTER: Final = (5, 15)


def _retry_after() -> int:
    return random.randint(*_RETRY_AFTER)  # noqa: S311 - no secret


def token_door(directory: Directory) -> Door:
    """Return the door that requests for tokens come in by."""
    return Door(directory, "token requests", _PLACES, _MAX_BODY)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Answers requests for tokens."""

    door: Door
    origins: Origins
    admission: Admission
    directory: Directory
    keyring: Keyring
    preparation: Preparation
    metrics: Metrics

    async def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether its page may ask."""
        return web.Response(status=204, headers=self.origins.of_preflight(request.headers))

    async def post(self, request: web.Request) -> web.Response:
        """Answer one request."""
        arrived = time.perf_counter()
        try:
            with self.door.opened():
                outcome, answer = await self._answer(request)
        except DeniedError as error:
            said = error.answer
            outcome = Outcome.DENIED
            answer = web.Response(status=said.status, headers=said.headers, body=said.body)
        except NotTakenError as error:
            outcome, answer = error.outcome, self.door.refuse(error)
            if outcome is Outcome.FULL:
                answer.headers["Retry-After"] = str(_retry_after())
        answer.headers.update(self.origins.of_answer(request.headers))
        answer.headers["Cache-Control"] = "no-store"
        self.metrics.token(outcome, time.perf_counter() - arrived)
        return answer

    async def _answer(self, request: web.Request) -> tuple[Outcome, web.Response]:
        if not self.origins.allow(request.headers):
            raise NotTakenError(
                Outcome.FOREIGN_ORIGIN,
                "Origin: pages of this origin may not ask for tokens; the chart's "
                "gateway.tokens.origins lists those that may",
            )
        body = await self.door.read(request)
        try:
            asked = parse_request(body)
        except ValueError as error:
            raise NotTakenError(Outcome.MALFORMED, str(error)) from None
        asked = await self.admission(request.headers, body, asked)
        try:
            return await self._prepared(asked)
        except NoPlaceError as error:
            raise NotTakenError(Outcome.NO_AGENT, str(error)) from None
        except StillEndingError:
            raise NotTakenError(
                Outcome.ENDING, "the room's last call is saying goodbye; try again in a moment"
            ) from None
        except FullError as error:
            raise NotTakenError(
                Outcome.FULL, "all places are taken; try again when a call has ended", str(error)
            ) from None
        # What the cluster says is for its own people: callers may be anybody.
        except OverError as error:
            raise NotTakenError(
                Outcome.FAILED,
                "the session was over before you could come; try again",
                str(error),
            ) from None
        except (Refused, NotFound) as error:
            raise NotTakenError(
                Outcome.REFUSED,
                "no session can be made; an Event of the VoiceAgent says why",
                str(error),
            ) from None
        except KubeError as error:
            raise NotTakenError(
                Outcome.UNAVAILABLE,
                "no session can be made now; try again in a moment",
                str(error),
            ) from None

    async def _prepared(self, asked: TokenRequest) -> tuple[Outcome, web.Response]:
        agent_name = asked.agent.agent_name or ""
        suffix = secrets.token_hex(_RANDOM)
        found = place(self.directory.agents.values(), asked.room_name or "", agent_name, suffix)
        agent = found.choice.agent
        credentials = await self.keyring.read_credentials_of(agent)
        if credentials is None:
            raise NotTakenError(
                Outcome.UNAVAILABLE,
                "the VoiceAgent has no credentials of LiveKit; its condition Ready says why",
            )
        wanted = Wanted(
            found.choice, found.room, metadata=asked.agent.metadata or "", agent_name=agent_name
        )
        there = await self.preparation.prepare(wanted, credentials)
        token = caller_token(
            credentials,
            found.room,
            asked.participant_identity or f"caller-{suffix}",
            asked.participant_name or "",
            asked.participant_metadata or "",
            asked.participant_attributes,
        )
        outcome = Outcome.READY if there else Outcome.STARTING
        url = agent.livekit.public_url or agent.livekit.url
        return outcome, web.json_response(
            {"server_url": url, "participant_token": token}, status=outcome.status
        )
