"""How busy the machine is: a call that meets the cleaning up after another one measures that."""

import asyncio
from pathlib import Path

# Seconds: as LiveKit's workers do, look at more than a moment, but don't wait for the last of it.
_WINDOW = 1.0
_CALM = 0.2

# Seconds until a machine that others keep busy is taken as it is.
_PATIENCE = 10.0


async def quiet() -> float:
    """Wait until the CPUs have been idle for a second, or for long enough; return their load.

    That is the share of them, 0 to 1, that was busy in the last second.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _PATIENCE
    while True:
        idle, total = _ticks()
        await asyncio.sleep(_WINDOW)
        idle_now, total_now = _ticks()
        busy = 1 - (idle_now - idle) / max(1, total_now - total)
        if busy < _CALM or loop.time() > give_up:
            return round(busy, 2)


def _ticks() -> tuple[int, int]:
    """Return the ticks since boot that the CPUs were idle, and all of them."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)
