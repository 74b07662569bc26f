"""The default agent: `python agent.py start` waits for a call, and takes it.

An ordinary agent, as LiveKit's documentation writes them, but for `voicepod_runtime`: its
calls outlive its process, and begin sooner. What it hears, thinks and speaks with is decided in
`voicepod_agent/pipeline.py`.
"""

from livekit.agents import Agent, AgentServer, JobContext, JobExecutorType, JobProcess, cli
from livekit.agents.voice.room_io import RoomOptions

from voicepod_agent.pipeline import Pipeline, load_pipeline
from voicepod_agent.settings import Settings
from voicepod_runtime import AgentSession, rehearse

settings = Settings()

server = AgentServer(
    # One call in a pod: a thread starts it sooner than a process of its own does, in a third of
    # the memory, and there is no other call to be isolated from.
    job_executor_type=JobExecutorType.THREAD,
    num_idle_processes=1,
    # A call fills the pod, and nothing else does: by default a busy machine refuses calls.
    load_fnc=lambda server: float(len(server.active_jobs)),
)


class Assistant(Agent):
    """Greets whoever is there, and says goodbye if the call is ended under the caller's feet."""

    def __init__(self) -> None:
        super().__init__(instructions=settings.instructions)

    async def on_enter(self) -> None:
        """Greet the caller."""
        self.session.generate_reply(instructions=settings.greeting)

    async def on_exit(self) -> None:
        """Say goodbye, unless nobody is left to hear it."""
        if self.session.room_io.room.remote_participants:
            await self.session.say(settings.goodbye, allow_interruptions=False)


def prewarm(proc: JobProcess) -> None:
    """Load the models before the call comes, and what joining a room takes."""
    proc.userdata["pipeline"] = load_pipeline(settings)
    rehearse()


server.setup_fnc = prewarm


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Take one call."""
    pipeline: Pipeline = ctx.proc.userdata["pipeline"]
    session: AgentSession[None] = AgentSession(
        stt=pipeline.stt,
        llm=pipeline.llm,
        tts=pipeline.tts,
        vad=pipeline.vad,
        # By default a model judges whether a turn is over: 211 MB a pod for half a second.
        turn_handling={"turn_detection": "vad"},
        # A call that has ended has no use for what was said last: the 2 s by default are too long.
        session_close_transcript_timeout=0.3,
    )
    await session.start(
        agent=Assistant(),
        room=ctx.room,
        # A caller whose page reloads leaves and comes back. When the call is over is decided
        # outside, and comes as the end of the job.
        room_options=RoomOptions(close_on_disconnect=False),
    )


if __name__ == "__main__":
    cli.run_app(server)
