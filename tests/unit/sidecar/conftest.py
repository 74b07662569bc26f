"""A sidecar among fake neighbours, for each test anew."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.sidecar.fakes import Rig, rig


@pytest.fixture
async def pod() -> AsyncIterator[Rig]:
    async with rig() as made:
        yield made
