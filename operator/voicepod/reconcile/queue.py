"""A queue of keys: each at most once, never two workers on one key, failures with backoff.

What nobody waits for goes into lines of its own, which are worked on beside the first by a few: for
calls that have something to tell, for calls that seem to go on, and for calls that are over.

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

# How many deadlines that count no more are kept beside as many as do count: a hundred kilobytes.
_SPARE: Final = 1_000


class _Line(Generic[K]):
    """Keys, each once, in the order they came."""

    def __init__(self) -> None:
        self._order: asyncio.Queue[K] = asyncio.Queue()
        self.keys: set[K] = set()

    def add(self, key: K) -> None:
        if key not in self.keys:
            self.keys.add(key)
            self._order.put_nowait(key)

    def clear(self) -> None:
        self.keys.clear()
        while not self._order.empty():
            self._order.get_nowait()

    async def take(self) -> K:
        while True:
            key = await self._order.get()
            # If not, it has left the line.
            if key in self.keys:
                self.keys.discard(key)
                return key


class KeyedQueue(Generic[K]):
    """Keys that wait to be worked on. Times are seconds of the event loop's clock."""

    def __init__(self) -> None:
        self._ready: _Line[K] = _Line()
        self._busy: _Line[K] = _Line()
        self._calm: _Line[K] = _Line()
        self._late: _Line[K] = _Line()
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._deadlines: dict[K, float] = {}
        self._pushes = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def depth(self) -> int:
        """How many keys could be worked on now, and something has happened to them."""
        return len(self._ready.keys) + len(self._busy.keys)

    @property
    def patient(self) -> int:
        """How many keys were added patiently, and could be worked on now."""
        return len(self._calm.keys)

    @property
    def late(self) -> int:
        """How many keys were put off for long, and could be worked on now."""
        return len(self._late.keys)

    def forget(self) -> None:
        """Let be what could be worked on now: all of it is about to be added again."""
        for line in (self._ready, self._busy, self._calm, self._late):
            line.clear()

    def add(self, key: K) -> None:
        """Have a key worked on soon; it is there once, however often it is added."""
        self._calm.keys.discard(key)
        self._late.keys.discard(key)
        if key in self._working:
            self._again.add(key)
        else:
            self._ready.add(key)

    def add_patiently(self, key: K) -> None:
        """Have a key worked on that nobody waits for, unless it is asked for sooner."""
        if not any(key in keys for keys in (self._working, self._ready.keys, self._busy.keys)):
            self._calm.add(key)

    def add_after(self, key: K, delay: float) -> None:
        """Have a key worked on in ``delay`` seconds, unless it is asked for sooner."""
        due = asyncio.get_running_loop().time() + max(delay, 0.0)
        if due >= self._deadlines.get(key, float("inf")):
            return
        self._deadlines[key] = due
        self._pushes += 1
        heapq.heappush(self._heap, (due, self._pushes, key))
        self._shrink()
        self._set_timer()

    def _shrink(self) -> None:
        """Take out what has another deadline by now: a call's first ones are hours ahead."""
        if len(self._heap) > _SPARE + 2 * len(self._deadlines):
            self._heap = [one for one in self._heap if self._deadlines.get(one[2]) == one[0]]
            heapq.heapify(self._heap)

    async def take(self) -> K:
        """Wait for a key; ``done``, ``failed``, ``let_pass`` or ``put_off`` must follow."""
        return self._begin(await self._ready.take())

    async def take_passed(self) -> K:
        """Wait for a key that lets others pass; ``done`` or ``failed`` must follow."""
        return self._begin(await self._busy.take())

    async def take_patient(self) -> K:
        """Wait for a key that was added patiently; ``done`` or ``failed`` must follow."""
        return self._begin(await self._calm.take())

    async def take_late(self) -> K:
        """Wait for a key that was put off; ``done`` or ``failed`` must follow."""
        return self._begin(await self._late.take())

    def _begin(self, key: K) -> K:
        # It may have been asked for anew while it let others pass, and be in both lines.
        for line in (self._ready, self._busy):
            line.keys.discard(key)
        self._working.add(key)
        self._deadlines.pop(key, None)
        return key

    def let_pass(self, key: K) -> None:
        """Leave a key to the few who take what lets others pass, in its turn."""
        self._leave(key, self._busy)

    def put_off(self, key: K) -> None:
        """Leave a key to those who take what was put off, unless it is asked for anew."""
        self._leave(key, self._late)

    def _leave(self, key: K, line: _Line[K]) -> None:
        self._working.discard(key)
        self._again.discard(key)
        line.add(key)

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
