"""A queue of keys: each at most once, never two workers on one key, failures with backoff.

What nobody waits for goes into a second line, which is worked on beside the first by a few.

The same heap of deadlines serves backoff and every timeout of a session.
"""

import asyncio
import heapq
import random
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

# What failed once often succeeds at once; what fails for minutes must not be hammered. Half a
# minute is the longest that a mended cluster is not noticed.
_FIRST_RETRY: Final = 0.25
_LAST_RETRY: Final = 30.0


class KeyedQueue(Generic[K]):
    """Keys that wait to be worked on. Times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._queued: set[K] = set()
        self._calm: asyncio.Queue[K] = asyncio.Queue()
        self._patient: set[K] = set()
        """Those in the second line."""
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._deadlines: dict[K, float] = {}
        self._pushes = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def depth(self) -> int:
        """How many keys could be worked on now, those that nobody waits for left out."""
        return len(self._queued)

    @property
    def patient(self) -> int:
        """How many keys could be worked on that nobody waits for."""
        return len(self._patient)

    def forget(self) -> None:
        """Let be what could be worked on now: all of it is about to be added again."""
        for line in (self._ready, self._calm):
            while not line.empty():
                line.get_nowait()
        self._queued.clear()
        self._patient.clear()

    def add(self, key: K) -> None:
        """Have a key worked on soon; it is there once, however often it is added."""
        self._patient.discard(key)
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.put_nowait(key)

    def add_patiently(self, key: K) -> None:
        """Have a key worked on that nobody waits for, unless it is asked for sooner."""
        if key not in self._working and key not in self._queued and key not in self._patient:
            self._patient.add(key)
            self._calm.put_nowait(key)

    def add_after(self, key: K, delay: float) -> None:
        """Have a key worked on in ``delay`` seconds, unless it is asked for sooner."""
        due = asyncio.get_running_loop().time() + max(delay, 0.0)
        if due >= self._deadlines.get(key, float("inf")):
            return
        self._deadlines[key] = due
        self._pushes += 1
        heapq.heappush(self._heap, (due, self._pushes, key))
        self._set_timer()

    async def take(self) -> K:
        """Wait for a key; ``done`` or ``failed`` must follow."""
        key = await self._ready.get()
        self._queued.discard(key)
        return self._begin(key)

    async def take_patient(self) -> K:
        """Wait for a key of the second line; ``done`` or ``failed`` must follow."""
        while True:
            key = await self._calm.get()
            # If not, it was asked for meanwhile.
            if key in self._patient:
                self._patient.discard(key)
                return self._begin(key)

    def _begin(self, key: K) -> K:
        self._working.add(key)
        self._deadlines.pop(key, None)
        return key

    def done(self, key: K) -> None:
        """Say that a key was worked on; its backoff starts from the beginning."""
        self._failures.pop(key, None)
        self._release(key)

    def failed(self, key: K) -> float:
        """Say that work on a key failed: it comes again. Returns the delay in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # Half of it is random, so that what failed together does not come back together.
        delay = min(_FIRST_RETRY * 2.0 ** min(failures, 10), _LAST_RETRY)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        self._release(key)
        self.add_after(key, delay)
        return delay

    def _release(self, key: K) -> None:
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _set_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._heap[0][0], self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._heap and self._heap[0][0] <= now:
            due, _, key = heapq.heappop(self._heap)
            # A key that was worked on meanwhile has set itself another deadline, or none.
            if self._deadlines.get(key) == due:
                del self._deadlines[key]
                self.add(key)
        self._set_timer()
