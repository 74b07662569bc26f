"""The strikes: who is killed, when, and who starts it again.

By pid, and only what the local cluster has started. Containers are found by containerd, which knows
them while the API server is away.
"""

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from bench.servers import Beside
from local import chart, node
from local.controlplane import CLUSTER
from tests.chaos.verdict import Outages
from voicepod.api.names import AGENT_CONTAINER, SIDECAR_CONTAINER

# Seconds between two strikes: most calls meet some, and many strikes what is not well yet.
_PAUSE = (5.0, 30.0)

# Seconds until a supervisor starts a server anew, as systemd does.
_RESTART = (1.0, 5.0)

# The share of the time, up to so many seconds, that the API server is away once.
_AWAY_SHARE = 0.1
_AWAY_AT_MOST = 60.0

API_SERVER = "kube-apiserver"
LIVEKIT = "livekit-server"


@dataclass(slots=True)
class Supervisor:
    """Starts a LiveKit server again whenever it has died."""

    server: Beside
    outages: Outages
    chance: random.Random
    up: asyncio.Event = field(default_factory=asyncio.Event)
    _process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keep it running until cancelled. Raises LocalError when it won't start."""
        self.outages.begins(LIVEKIT)
        while True:
            async with self.server.started() as self._process:
                self.outages.ends(LIVEKIT)
                self.up.set()
                await self._process.wait()
                self.up.clear()
                self.outages.begins(LIVEKIT)
            await asyncio.sleep(self.chance.uniform(*_RESTART))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep it running while the body runs, and begin when it is up."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.run())
            try:
                await self.up.wait()
                yield
            finally:
                task.cancel()

    @property
    def pid(self) -> int | None:
        """Its pid; None while it is away."""
        return self._process.pid if self._process and self.up.is_set() else None


@dataclass(slots=True)
class Faults:
    """Strikes, one after another, as chance has it."""

    namespace: str
    """Of the agents."""
    livekit: Supervisor
    outages: Outages
    chance: random.Random
    tell: Callable[[str], None]
    counts: dict[str, int]
    """How often each strike was made."""

    async def rage(self, seconds: float) -> None:
        """Strike for so many seconds; return when what was struck is up again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            group.create_task(self._long_outage(seconds))
            while (pause := self.chance.uniform(*_PAUSE)) < end - loop.time():
                await asyncio.sleep(pause)
                group.create_task(self._drawn()())
        await self.livekit.up.wait()

    def _drawn(self) -> Callable[[], Coroutine[None, None, None]]:
        """Draw a strike: each as often as its weight says."""
        strikes: list[tuple[int, Callable[[], Coroutine[None, None, None]]]] = [
            (3, lambda: self._container(self.namespace, AGENT_CONTAINER)),
            (1, lambda: self._container(self.namespace, SIDECAR_CONTAINER)),
            (2, self._pod),
            (2, lambda: self._container(chart.NAMESPACE, "operator")),
            (2, lambda: self._container(chart.NAMESPACE, "gateway")),
            (1, lambda: self._container(chart.NAMESPACE, "redis")),
            (1, self._livekit),
            (1, lambda: self._api_server(self.chance.uniform(*_RESTART))),
        ]
        (drawn,) = self.chance.choices(strikes, [weight for weight, _ in strikes])
        return drawn[1]

    async def _long_outage(self, seconds: float) -> None:
        """Once, somewhere in the middle, the API server is away for long."""
        away = min(_AWAY_AT_MOST, seconds * _AWAY_SHARE)
        await asyncio.sleep(self.chance.uniform(0.2, 0.8) * seconds - away / 2)
        while API_SERVER in self.outages.since:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(1)
        await self._api_server(away)

    async def _container(self, namespace: str, name: str) -> None:
        found = await asyncio.to_thread(node.containers, namespace, named=name)
        if found:
            container = self.chance.choice(sorted(found))
            pod = await asyncio.to_thread(node.pod_of, container)
            self._kill([found[container]], name, f"{name} of {pod}")

    async def _pod(self) -> None:
        """All of a pod at once, as when its node loses power."""
        found = await asyncio.to_thread(node.containers, self.namespace, named=AGENT_CONTAINER)
        if found:
            pod = await asyncio.to_thread(node.pod_of, self.chance.choice(sorted(found)))
            whole = await asyncio.to_thread(node.containers, self.namespace, pod=pod)
            self._kill(whole.values(), "agent pod", f"pod {pod}")

    async def _livekit(self) -> None:
        if pid := self.livekit.pid:
            self._kill([pid], LIVEKIT, LIVEKIT)

    async def _api_server(self, seconds: float) -> None:
        pid = CLUSTER.daemons.pid(API_SERVER)
        if pid is None or API_SERVER in self.outages.since:
            return
        self.outages.begins(API_SERVER)
        self._kill([pid], API_SERVER, f"{API_SERVER}, for {seconds:.0f} s")
        await asyncio.sleep(seconds)
        await asyncio.to_thread(CLUSTER.start)
        self.outages.ends(API_SERVER)
        self.tell(f"{API_SERVER} is back")

    def _kill(self, pids: Iterable[int], kind: str, what: str) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):  # What is gone is killed.
                os.kill(pid, signal.SIGKILL)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.tell(f"killed {what}")
