"""The default agent, whose call's event loop stands still from a SIGUSR1 on.

It runs in the agent's image, beside its agent.py. What is beside that loop goes on, as it does
where user code blocks it: the connection to the room, and the one to the sidecar.
"""

import asyncio
import signal
import time
from types import FrameType

from livekit.agents import cli

import agent

# Seconds: longer than any call of the bench.
_FOR_EVER = 3600.0

# Those that calls are on: a pod has one call.
_loops: list[asyncio.AbstractEventLoop] = []


class HangingAssistant(agent.Assistant):
    """Notes which loop its call is on."""

    async def on_enter(self) -> None:
        """Begin the call as the default agent does."""
        _loops.append(asyncio.get_running_loop())
        await super().on_enter()


def _hang(_signal: int, _frame: FrameType | None) -> None:
    for loop in _loops:
        loop.call_soon_threadsafe(time.sleep, _FOR_EVER)


signal.signal(signal.SIGUSR1, _hang)
agent.Assistant = HangingAssistant  # type: ignore[misc]

if __name__ == "__main__":
    cli.run_app(agent.server)
