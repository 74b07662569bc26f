"""A bad network between livekit-server and the gateway: webhooks get lost, come twice, late, in
another order.

It takes each webhook in LiveKit's place of the gateway and says that all is well, so that LiveKit
never sends it again.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_LOST = 0.3
_DOUBLED = 0.3

# Seconds. Each copy has a delay of its own, and so they are shuffled.
_LATEST = 10.0

# Seconds for one delivery, as LiveKit waits.
_TIMEOUT = aiohttp.ClientTimeout(total=5)

_ADDRESS = "127.0.0.1"
_HEADERS = ("Authorization", "Content-Type")


def fate(chance: random.Random) -> list[float]:
    """Return the delays, in seconds, of the copies of a webhook that arrive; of none it is lost."""
    if chance.random() < _LOST:
        return []
    copies = 2 if chance.random() < _DOUBLED else 1
    return [chance.uniform(0.0, _LATEST) for _ in range(copies)]


@dataclass(slots=True)
class Disturbed:
    """The way of webhooks to ``gateway``, its webhook URL."""

    gateway: str
    chance: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    """How many were sent, lost, doubled, delivered, and refused or not answered by a gateway."""
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Take webhooks while the body runs; yields the URL for LiveKit."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as http:

            async def take(request: web.Request) -> web.Response:
                self._take(http, await request.read(), request.headers)
                return web.Response()

            app = web.Application()
            app.router.add_post("/", take)
            runner = web.AppRunner(app)
            await runner.setup()
            try:
                await web.TCPSite(runner, _ADDRESS, 0).start()
                host, port = runner.addresses[0][:2]
                yield f"http://{host}:{port}/"
            finally:
                await runner.cleanup()
                for task in self._under_way:
                    task.cancel()
                await asyncio.gather(*self._under_way, return_exceptions=True)

    async def settled(self) -> None:
        """Wait until what was taken has arrived or is lost."""
        await asyncio.gather(*self._under_way)

    def _take(self, http: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str]) -> None:
        delays = fate(self.chance)
        self.counts["sent"] += 1
        self.counts["lost"] += not delays
        self.counts["doubled"] += len(delays) > 1
        passed_on = {name: headers[name] for name in _HEADERS}
        for delay in delays:
            task = asyncio.create_task(self._deliver(http, body, passed_on, delay))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _deliver(
        self, http: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str], delay: float
    ) -> None:
        await asyncio.sleep(delay)
        try:
            async with http.post(self.gateway, data=body, headers=headers) as response:
                self.counts["delivered" if response.ok else "refused"] += 1
        except (aiohttp.ClientError, TimeoutError, OSError):
            # A gateway that was killed: one more is lost.
            self.counts["unanswered"] += 1
