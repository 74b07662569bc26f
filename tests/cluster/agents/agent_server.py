"""An agent as LiveKit's documentation prints them today, with a tone for a voice: no keys."""

import math
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli

server = AgentServer()


async def tone() -> AsyncIterator[rtc.AudioFrame]:
    """Two seconds of 440 Hz."""
    for start in range(0, 2 * 48000, 480):
        frame = rtc.AudioFrame.create(48000, 1, 480)
        for i in range(480):
            frame.data[i] = int(8000 * math.sin(2 * math.pi * 440 * (start + i) / 48000))
        yield frame


@server.rtc_session()
async def my_agent(ctx: JobContext) -> None:
    """Greet the caller."""
    session: AgentSession[None] = AgentSession()
    await session.start(agent=Agent(instructions="You are a friendly assistant."), room=ctx.room)
    await session.say("Hello!", audio=tone())


if __name__ == "__main__":
    cli.run_app(server)
