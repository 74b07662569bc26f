"""LiveKit servers: the cluster's own, and others beside it, of the same binary and settings."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import running
from local import livekit
from local.certs import write_secret
from local.cluster import Cluster
from local.controlplane import CLUSTER
from local.errors import LocalError
from local.layout import BRIDGE, BRIDGE_IP
from local.livekit import Ports
from local.run import tail
from voicepod.livekit.credentials import Credentials

# Next to the cluster's own, which has the default ones.
SECOND = Ports(http=7882, rtc_tcp=7883, rtc_udp=(50201, 50400))
THIRD = Ports(http=7884, rtc_tcp=7885, rtc_udp=(50401, 50600))

_LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """A LiveKit server, and the file that it logs to."""

    credentials: Credentials
    log: Path


def of(cluster: Cluster) -> Server:
    """Return the server of the embedded cluster. Raises LocalError for any other cluster."""
    if cluster.provider != "embedded":
        raise LocalError(
            "the bench runs LiveKit servers beside the cluster's own, and reads what they log: "
            "CLUSTER=embedded"
        )
    credentials = Credentials(
        cluster.livekit_url, cluster.livekit_api_key, cluster.livekit_api_secret
    )
    return Server(credentials, CLUSTER.daemons.log("livekit-server"))


@dataclass(frozen=True, slots=True)
class Beside(Server):
    """A server that can be started beside the cluster's own, and again after its death."""

    config: Path

    @asynccontextmanager
    async def started(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run it while the body runs. Raises LocalError when it won't start."""
        async with running("livekit-server", f"--config={self.config}", log=self.log) as process:
            url = self.credentials.url.replace("ws:", "http:")
            async with asyncio.timeout(livekit.READY_SECONDS):
                while not await asyncio.to_thread(livekit.answers, url):
                    if process.returncode is not None:
                        raise LocalError(f"{self.config.stem} died:\n{tail(self.log.read_text())}")
                    await asyncio.sleep(_LOOK_EVERY)
            yield process


def configured(directory: Path, name: str, ports: Ports, webhook: str | None = None) -> Beside:
    """Return one more server, with settings in ``directory`` where it is to log as well."""
    content = livekit.configuration(BRIDGE, BRIDGE_IP, ports, webhook)
    config = directory / f"{name}.json"
    write_secret(config, json.dumps(content).encode())
    credentials = Credentials(
        f"ws://{BRIDGE_IP}:{ports.http}", *next(iter(content["keys"].items()))
    )
    return Beside(credentials, directory / f"{name}.log", config)


@asynccontextmanager
async def beside(
    directory: Path, name: str, ports: Ports, webhook: str | None = None
) -> AsyncIterator[Server]:
    """Run one more server, which logs to ``directory``. Raises LocalError when it won't start."""
    server = configured(directory, name, ports, webhook)
    async with server.started():
        yield server
