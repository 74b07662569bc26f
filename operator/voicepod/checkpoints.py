"""What was said in a call so far, for the agent that takes it over.

The pod before knows it best: its sidecar has it, also when its agent is dead. What a whole pod or
node has taken with it is in Redis, if the VoiceAgent has one. A caller is waiting meanwhile, and so
each of both is asked for a moment only; a call goes on without what neither can tell.
"""

import asyncio
import logging
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from voicepod.api.agent import REDIS_URL, CheckpointStore
from voicepod.assignment.client import PodClient
from voicepod.assignment.errors import PodError
from voicepod.assignment.messages import SessionRef
from voicepod.assignment.stored import checkpoint_key
from voicepod.credentials import CredentialsError, read_secret
from voicepod.kube.client import Kube
from voicepod.kube.errors import KubeError

logger = logging.getLogger(__name__)

# Seconds. A sidecar answers within milliseconds; a node that is gone does not answer at all.
_POD_TIMEOUT: Final = 1.0

# Seconds for a Secret and a key of Redis, each of which takes milliseconds.
_REDIS_TIMEOUT: Final = 2.0


class Checkpoints:
    """Finds the newest checkpoint of a session."""

    def __init__(self, kube: Kube, pods: PodClient) -> None:
        self._kube = kube
        self._pods = pods

    async def newest(
        self,
        session: SessionRef,
        store: CheckpointStore | None,
        pod: tuple[str, str] | None = None,
    ) -> str | None:
        """Return the conversation so far, or None if nobody can tell; it takes 3 seconds at most.

        ``pod`` is address and uid of the pod that was in the call, if it is still there. What goes
        wrong is logged.
        """
        found = await self._from_pod(session, *pod) if pod else None
        if found is None and store:
            found = await self._from_redis(session, store)
        return found

    async def _from_pod(self, session: SessionRef, address: str, uid: str) -> str | None:
        try:
            async with asyncio.timeout(_POD_TIMEOUT):
                return await self._pods.checkpoint(address, uid)
        except (PodError, TimeoutError) as error:
            _log(session, error)
            return None

    async def _from_redis(self, session: SessionRef, store: CheckpointStore) -> str | None:
        try:
            async with asyncio.timeout(_REDIS_TIMEOUT):
                name = store.redis_secret_ref.name
                (url,) = await read_secret(self._kube, session.namespace, name, REDIS_URL)
                redis = _connect(url)
                async with redis:
                    found: str | None = await redis.get(checkpoint_key(session))
                    return found
        except (KubeError, CredentialsError, RedisError, OSError, TimeoutError) as error:
            _log(session, error)
            return None


def _connect(url: str) -> Redis:
    try:
        return Redis.from_url(url, decode_responses=True)
    except ValueError:
        # Not in its own words: they may hold a part of the URL, and with it of a password.
        raise RedisError(f"{REDIS_URL} is not a URL such as redis://host:6379") from None


def _log(session: SessionRef, error: Exception) -> None:
    problem = str(error) or type(error).__name__
    logger.warning("%s/%s: the conversation so far: %s", session.namespace, session.name, problem)
