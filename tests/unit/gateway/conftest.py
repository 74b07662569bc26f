from collections.abc import AsyncIterator

import pytest

from tests.unit.gateway.stage import Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    await stage.client.start_server()
    yield stage
    await stage.client.close()
