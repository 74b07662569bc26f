"""Keeps the conversation in Redis, so that it outlives this pod and its node."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from voicepod.assignment.messages import SessionRef
from voicepod.assignment.stored import checkpoint_key

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger(__name__)

# Seconds for one command, or for connecting.
_TIMEOUT: Final = 2.0

# How often a command is tried again, and the seconds between: over in as long as a Redis takes to
# restart. The next turn brings a newer checkpoint anyway.
_RETRIES: Final = 6
_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 4.0

# Seconds that the last write has when the pod stops.
_LAST_WORDS: Final = 1.0


class Store:
    """Writes one checkpoint at a time; of those that come meanwhile the newest is the next.

    The call never waits for it: what cannot be written is logged, and the pod has it still.
    """

    def __init__(self, url: str, ttl: int) -> None:
        """``ttl`` is in seconds. Raises ValueError if ``url`` is not one of Redis."""
        self._redis = _connect(url)
        self._ttl = ttl
        self._next: tuple[str, str | None] | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, session: SessionRef, checkpoint: str) -> None:
        """Keep the conversation so far."""
        self._schedule(session, checkpoint)

    def forget(self, session: SessionRef) -> None:
        """The session is over, and nobody will go on with its conversation."""
        self._schedule(session, None)

    async def close(self) -> None:
        """Give what is under way a moment."""
        if self._task:
            await asyncio.wait([self._task], timeout=_LAST_WORDS)
            self._task.cancel()
        await self._redis.aclose()

    def _schedule(self, session: SessionRef, checkpoint: str | None) -> None:
        self._next = checkpoint_key(session), checkpoint
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())

    async def _write(self) -> None:
        from redis.exceptions import RedisError

        while self._next:
            (key, checkpoint), self._next = self._next, None
            try:
                if checkpoint is None:
                    await self._redis.delete(key)
                else:
                    await self._redis.set(key, checkpoint, ex=self._ttl)
            except (RedisError, OSError, TimeoutError) as error:
                problem = str(error) or type(error).__name__
                logger.warning("the conversation is not in Redis, but in this pod: %s", problem)


def _connect(url: str) -> "Redis":
    # Here, and not above: its 8 MB are not for pods whose VoiceAgent has no Redis.
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import ExponentialBackoff

    try:
        return Redis.from_url(
            url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(ExponentialBackoff(_LONGEST_PAUSE, _FIRST_PAUSE), _RETRIES),
        )
    except ValueError:
        # Not in its own words: they may hold a part of the URL, and with it of a password.
        raise ValueError("the URL of Redis is not one such as redis://host:6379") from None
