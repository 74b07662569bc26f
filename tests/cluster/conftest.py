"""The cluster of the tests: brought up, with this checkout's images and chart, and left running.

Each module has a namespace of its own, so that what one leaves behind is in nobody's way.
"""

import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

import local
from local import chart
from local.cluster import Cluster
from tests.cluster.stage import Stage
from voicepod.kube import client


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Return the cluster, with the chart installed."""
    cluster = local.up()
    for image in (local.OPERATOR, local.AGENT):
        local.build(image)
    chart.install(cluster)
    return cluster


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    """Make a namespace with restricted Pod Security and LiveKit's key pair in it."""
    name = f"test-{secrets.token_hex(3)}"
    chart.make_namespace(cluster, name)
    yield name
    chart.kubectl(cluster, "delete", "namespace", name, "--wait=false")


@pytest.fixture
async def stage(cluster: Cluster, namespace: str) -> AsyncIterator[Stage]:
    """Return what the tests act on."""
    async with client.connect(cluster.kubeconfig) as kube:
        yield Stage(cluster, kube, namespace)
