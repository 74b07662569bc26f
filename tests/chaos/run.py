"""One run: everything set up, callers and strikes let loose, and what is left of it counted."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import local
from bench import servers
from bench.stage import installed
from local import chart
from local.cluster import Cluster
from local.controlplane import CLUSTER
from local.layout import GATEWAY_WEBHOOK, REPOSITORY
from local.progress import console
from tests.chaos.faults import Faults, Supervisor
from tests.chaos.people import People
from tests.chaos.verdict import PATIENCE, Call, Outages, Verdict, judge
from tests.chaos.webhooks import Disturbed
from tests.cluster.stage import Stage
from tests.cluster.test_pool import filled
from voicepod.api.names import AGENT_CONTAINER
from voicepod.kube import client
from voicepod.kube.client import PODS, VOICE_SESSIONS, Object
from voicepod.livekit.credentials import Credentials

OUT = REPOSITORY / "out/chaos"
"""Where livekit-server logs to, and what the cluster says of a run that went wrong."""

# Callers at a time: with their agents, the pool, and what is started anew, what two cores bear.
_SLOTS = "abc"

_AGENT = "chaos"
# One for each of them: while the API server is away no pod starts, and for a while after it.
_POOL = {"min": 3, "max": 4}

# Less than an agent takes in a call: it is the weights among those that are there that count, and a
# pod that finds no room on the only node says nothing of faults.
_CONTAINER = {
    "name": AGENT_CONTAINER,
    "image": chart.AGENT_IMAGE,
    "resources": {"requests": {"cpu": "50m", "memory": "160Mi"}},
}

_LIFECYCLE = {
    # The callers' patience is to end before the operator's.
    "startDeadline": "3m",
    "maxReplacements": 10,
    # Longer than it takes a client whose server was started anew to be back.
    "reconnectGrace": "15s",
    "shutdownGrace": "5s",
    # Beyond the run: what became of each session can be read then.
    "ttlAfterFinished": "2h",
}

_REDIS = f"redis://voicepod-redis.{chart.NAMESPACE}.svc:6379"
_REDIS_SECRET = "redis"


@dataclass(slots=True)
class Record:
    """What is known of a run."""

    calls: list[Call] = field(default_factory=list)
    outages: Outages = field(default_factory=Outages)
    strikes: dict[str, int] = field(default_factory=dict)
    webhooks: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    """Sessions and pods that should not be there."""
    log: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.time)

    def tell(self, what: str) -> None:
        """Note what happens, and show it."""
        self.log.append(f"{time.time() - self.began:6.1f} s  {what}")
        console.print(self.log[-1], markup=False)

    @property
    def verdict(self) -> Verdict:
        """What the last line says."""
        return judge(self.calls, self.outages, len(self.left))


async def run(seconds: float, seed: int, disturbed: bool) -> Record:
    """Let chaos reign for so many seconds. Raises LocalError when the cluster won't do."""
    OUT.mkdir(parents=True, exist_ok=True)
    record = Record()
    webhooks = Disturbed(GATEWAY_WEBHOOK, random.Random(f"webhooks {seed}"))
    async with _installed() as cluster, webhooks.listening() as hook:
        server = servers.configured(
            OUT, "livekit-server", servers.SECOND, hook if disturbed else GATEWAY_WEBHOOK
        )
        supervisor = Supervisor(server, record.outages, random.Random(f"livekit {seed}"))
        async with supervisor.running(), _staged(cluster, server.credentials) as stage:
            faults = Faults(
                stage.namespace,
                supervisor,
                record.outages,
                random.Random(f"faults {seed}"),
                record.tell,
                record.strikes,
            )
            await _rage(stage, faults, record, seconds, seed)
            record.left = await _left(stage)
            await webhooks.settled()
            record.webhooks = dict(webhooks.counts)
            if not record.verdict.good:
                (OUT / "report.txt").write_text(await stage.report())
    return record


async def _rage(stage: Stage, faults: Faults, record: Record, seconds: float, seed: int) -> None:
    """Have callers call and strikes strike, until the last call that was begun is over."""
    prefix = await stage.apply_agent(
        _AGENT,
        template={"spec": {"containers": [_CONTAINER]}},
        pool=_POOL,
        lifecycle=_LIFECYCLE,
        checkpoint={"redisSecretRef": {"name": _REDIS_SECRET}},
    )
    await filled(stage, _AGENT, _POOL["min"])
    people = People(stage.cluster, prefix, record.calls, record.outages, record.tell)
    over = asyncio.Event()
    record.began = time.time()
    try:
        async with asyncio.TaskGroup() as group:
            for name in _SLOTS:
                chance = random.Random(f"{name} {seed}")
                group.create_task(people.slot(name, chance, over))
            await faults.rage(seconds)
            record.tell("no more strikes, no new calls")
            over.set()
    finally:
        await asyncio.to_thread(CLUSTER.start)
    record.tell("everybody has hung up")


async def _left(stage: Stage) -> list[str]:
    """Return what is left when it should not be, after as long as a caller is patient."""
    found: list[str] = []
    for _ in range(round(PATIENCE)):
        found = await _unfinished(stage)
        if not found:
            break
        await asyncio.sleep(1)
    return found


async def _unfinished(stage: Stage) -> list[str]:
    """Return the sessions that go on, their pods, and the pods that are too many for the pool."""
    sessions = await stage.kube.list_all(VOICE_SESSIONS, stage.namespace)
    pods = await stage.kube.list_all(PODS, stage.namespace, "voicepod.dev/agent")
    claimed = [pod for pod in pods if "voicepod.dev/session" in pod["metadata"]["labels"]]
    idle = [pod for pod in pods if pod not in claimed]
    open_ = [one for one in sessions if not _is_over(one)]
    return [one["metadata"]["name"] for one in [*open_, *claimed, *idle[_POOL["max"] :]]]


def _is_over(session: Object) -> bool:
    return session.get("status", {}).get("phase") in ("Ended", "Failed")


@asynccontextmanager
async def _installed() -> AsyncIterator[Cluster]:
    """Install the chart with its Redis while the body runs; it is left as others need it."""
    await asyncio.to_thread(local.up)
    await asyncio.to_thread(local.build, local.REDIS)
    redis = ("redis.enabled=true", f"redis.image={local.REDIS.name}")
    cluster = await asyncio.to_thread(installed, *redis)
    servers.of(cluster)  # Or it is a cluster whose processes are not ours to kill.
    try:
        yield cluster
    finally:
        await asyncio.to_thread(chart.install, cluster)


@asynccontextmanager
async def _staged(cluster: Cluster, livekit: Credentials) -> AsyncIterator[Stage]:
    """Make a namespace for agents on this LiveKit server, with the Secret of their Redis."""
    cluster = replace(
        cluster,
        livekit_url=livekit.url,
        livekit_api_key=livekit.key,
        livekit_api_secret=livekit.secret,
    )
    namespace = f"chaos-{secrets.token_hex(3)}"
    chart.make_namespace(cluster, namespace)
    try:
        async with client.connect(cluster.kubeconfig) as kube:
            stage = Stage(cluster, kube, namespace)
            secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": _REDIS_SECRET}}
            await stage.apply({**secret, "stringData": {"REDIS_URL": _REDIS}})
            yield stage
    finally:
        await asyncio.to_thread(
            chart.kubectl, cluster, "delete", "namespace", namespace, "--wait=false"
        )
