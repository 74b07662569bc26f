"""Which key pairs webhooks may be signed with, and whose they are.

The Secrets are read beforehand and now and then again, so that a webhook waits for no request.
Only one that does not verify makes them be read at once: a rotated secret counts with the first
webhook that it signs.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from voicepod.api.agent import LiveKit
from voicepod.credentials import CredentialsError, read_credentials
from voicepod.gateway.directory import Directory
from voicepod.gateway.objects import Agent, Key
from voicepod.kube.client import Kube
from voicepod.kube.errors import Unavailable
from voicepod.livekit.credentials import Credentials
from voicepod.livekit.webhooks import InvalidSignatureError, verify

logger = logging.getLogger(__name__)

# In seconds: how long a secret that was withdrawn goes on being believed.
_REFRESH: Final = 30.0

# In seconds, between two reads that webhooks cause: whoever floods the gateway with forged ones
# must not flood the API server by it.
_PAUSE: Final = 1.0


class Keyring:
    """The key pairs of all VoiceAgents."""

    def __init__(
        self, kube: Kube, directory: Directory, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._directory = directory
        self._clock = clock
        # By namespace and name of the Secret; None: it was read, and holds no credentials.
        self._pairs: dict[Key, Credentials | None] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._away: Unavailable | None = None

    def credentials_of(self, agent: Agent) -> Credentials | None:
        """Return the credentials of a VoiceAgent; None when its Secret holds none."""
        pair = self._pairs.get(_place(agent))
        return pair and Credentials(agent.livekit.url, pair.key, pair.secret)

    async def read_credentials_of(self, agent: Agent) -> Credentials | None:
        """Return the credentials of a VoiceAgent, reading its Secret if that was never done.

        None when it holds none. Raises Unavailable when it cannot be read now.
        """
        await self._read_new()
        return self.credentials_of(agent)

    def agents_of(self, signer: Credentials) -> list[Agent]:
        """Return the VoiceAgents that a webhook of this signer may concern."""
        return [agent for agent in self._directory.agents.values() if self._is_of(agent, signer)]

    def departed_of(self, signer: Credentials) -> list[Agent]:
        """Return those that were deleted, and may have live calls yet."""
        return [agent for agent in self._directory.departed.values() if self._is_of(agent, signer)]

    def _is_of(self, agent: Agent, signer: Credentials) -> bool:
        own = self.credentials_of(agent)
        return own is not None and own.same_key_as(signer)

    async def verify(self, body: bytes, authorization: str) -> Credentials:
        """Return whose key a webhook is signed with.

        Raises InvalidSignatureError; Unavailable when a Secret that cannot be read now might say
        otherwise.
        """
        arrived = self._clock()
        # The room may be a new VoiceAgent's.
        await self._read_new()
        try:
            return verify(body, authorization, self._known())
        except InvalidSignatureError:
            if not await self._read_again(arrived):
                raise
        try:
            return verify(body, authorization, self._known())
        except InvalidSignatureError:
            if self._away:
                raise self._away from None
            raise

    async def run(self) -> None:
        """Read all Secrets every now and then, until cancelled."""
        while True:
            async with self._reading:
                await self._refresh()
            await asyncio.sleep(_REFRESH)

    async def _read_new(self) -> None:
        places = self._places()
        if new := {place: one for place, one in places.items() if place not in self._pairs}:
            await self._read(new)
            if self._away:
                raise self._away

    async def _read_again(self, arrived: float) -> bool:
        """Read all Secrets for a webhook that arrived then; False when that was done just before.

        Those that arrive together wait for one read.
        """
        async with self._reading:
            if self._read_at < arrived:
                if self._clock() - self._read_at < _PAUSE:
                    return False
                await self._refresh()
            return True

    async def _refresh(self) -> None:
        self._read_at = self._clock()
        places = self._places()
        for place in self._pairs.keys() - places.keys():
            del self._pairs[place]
        await self._read(places)

    async def _read(self, places: Mapping[Key, LiveKit]) -> None:
        self._away = None
        await asyncio.gather(*(self._read_one(*place) for place in places.items()))

    async def _read_one(self, place: Key, livekit: LiveKit) -> None:
        try:
            self._pairs[place] = await read_credentials(self._kube, place[0], livekit)
        except CredentialsError as error:
            if place not in self._pairs or self._pairs[place]:
                logger.warning("webhooks of a VoiceAgent cannot be verified: %s", error)
            self._pairs[place] = None
        except Unavailable as error:
            # What was read before goes on counting.
            self._away = error

    def _known(self) -> list[Credentials]:
        return [pair for pair in self._pairs.values() if pair]

    def _places(self) -> dict[Key, LiveKit]:
        agents = (*self._directory.departed.values(), *self._directory.agents.values())
        return {_place(agent): agent.livekit for agent in agents}


def _place(agent: Agent) -> Key:
    return agent.key[0], agent.livekit.credentials_secret_ref.name
