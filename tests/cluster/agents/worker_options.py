"""An agent as LiveKit's documentation printed them before AgentServer: a tone, and no keys."""

import math

from livekit import rtc
from livekit.agents import JobContext, WorkerOptions, cli


async def entrypoint(ctx: JobContext) -> None:
    """Publish two seconds of 440 Hz."""
    await ctx.connect()
    source = rtc.AudioSource(48000, 1)
    track = rtc.LocalAudioTrack.create_audio_track("agent", source)
    await ctx.room.local_participant.publish_track(track)
    await ctx.wait_for_participant()
    for start in range(0, 2 * 48000, 480):
        frame = rtc.AudioFrame.create(48000, 1, 480)
        for i in range(480):
            frame.data[i] = int(8000 * math.sin(2 * math.pi * 440 * (start + i) / 48000))
        await source.capture_frame(frame)


if __name__ == "__main__":
    cli.run_app(WorkerOptions(entrypoint_fnc=entrypoint))
