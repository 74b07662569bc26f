"""Operator and gateway over a control plane of their own, with KWOK's nodes and pods."""

from collections.abc import AsyncIterator, Iterator

import pytest

from local.scale import rig
from local.scale.site import PLANE
from voicepod.kube import client
from voicepod.kube.client import Kube


@pytest.fixture(scope="session", autouse=True)
def up() -> Iterator[None]:
    """Have it up while the tests of this folder run."""
    with rig.running():
        yield


@pytest.fixture
async def callers() -> AsyncIterator[Kube]:
    """Return what the callers make their sessions with."""
    async with client.connect(PLANE.kubeconfig_of("callers")) as kube:
        yield kube
