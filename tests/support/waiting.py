"""Waiting for what nobody tells of."""

import asyncio
from collections.abc import Callable
from typing import Final

# Seconds. Long enough for a loaded machine: only a broken test waits for it.
PATIENCE: Final = 10.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - most conditions have no event
            await asyncio.sleep(0.005)
