"""What every bench with pods stands on: the chart installed, a namespace, and ways to all of it."""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

import local
from bench import servers
from bench.servers import Server
from local import chart
from local.cluster import Cluster
from voicepod.assignment.client import PodClient, pod_session
from voicepod.assignment.signing import Signer
from voicepod.kube import client
from voicepod.kube.client import Kube
from voicepod.livekit.rooms import Rooms, client_session
from voicepod.signing_key import load_signer


@dataclass(frozen=True, slots=True)
class Stage:
    """A namespace on the cluster, and the ways to it."""

    cluster: Cluster
    server: Server
    """The cluster's own LiveKit."""
    namespace: str
    kube: Kube
    signer: Signer
    """The operator's own: the bench asks sidecars what they know, and plays operator for one."""
    pods: PodClient
    http: aiohttp.ClientSession
    logs: Path
    """Where programs beside the cluster log to."""

    def rooms(self, server: Server) -> Rooms:
        """Return the rooms of a server."""
        return Rooms(self.http, server.credentials)


def installed(*values: str) -> Cluster:
    """Return the cluster with this checkout's images and chart; `values` are of `helm --set`."""
    cluster = local.up()
    for image in (local.OPERATOR, local.AGENT):
        local.build(image)
    chart.install(cluster, *values)
    return cluster


@asynccontextmanager
async def staged(cluster: Cluster) -> AsyncIterator[Stage]:
    """Make a namespace; it is deleted in the end. Raises LocalError if the cluster won't do."""
    server, namespace = servers.of(cluster), f"bench-{secrets.token_hex(3)}"
    chart.make_namespace(cluster, namespace)
    try:
        async with AsyncExitStack() as stack:
            logs = stack.enter_context(tempfile.TemporaryDirectory(prefix="voicepod-bench-"))
            kube = await stack.enter_async_context(client.connect(cluster.kubeconfig))
            signer = await load_signer(kube, chart.NAMESPACE, "voicepod-signing-key")
            yield Stage(
                cluster=cluster,
                server=server,
                namespace=namespace,
                kube=kube,
                signer=signer,
                pods=PodClient(await stack.enter_async_context(pod_session()), signer),
                http=await stack.enter_async_context(client_session()),
                logs=Path(logs),
            )
    finally:
        chart.kubectl(cluster, "delete", "namespace", namespace, "--wait=false")
