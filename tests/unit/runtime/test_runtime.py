"""An agent with the runtime, beside a real sidecar: what outlives it, and what is told of it."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from livekit import rtc
from livekit.agents import (
    Agent,
    APIConnectOptions,
    CloseEvent,
    CloseReason,
    JobContext,
    JobExecutorType,
    JobProcess,
    job,
    llm,
)
from livekit.protocol import agent as protocol
from livekit.rtc.participant import PublishTrackError

import voicepod_runtime
from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, POD_UID, Rig, rig
from voicepod.assignment.messages import PodState, PodStatus
from voicepod_agent.offline.llm import ReceptionistLLM
from voicepod_agent.offline.receptionist import GREETING
from voicepod_runtime import AgentSession, rehearse

pytestmark = pytest.mark.unit

RESUMED = "Sorry, Robert, I was interrupted. What can I do for you?"


class Greeter(Agent):
    """Greets on its own, and repeats it: a greeting may be of several sentences."""

    def __init__(self) -> None:
        super().__init__(instructions="You work in a cafe.")

    async def on_enter(self) -> None:
        self.session.generate_reply(instructions="Greet the caller.")
        self.session.say("This call is recorded.")


class Stuck(ReceptionistLLM):
    """A model that never answers."""

    def chat(self, *, chat_ctx: llm.ChatContext, **_: Any) -> llm.LLMStream:
        return _Never(self, chat_ctx=chat_ctx, tools=[], conn_options=APIConnectOptions())


class _Never(llm.LLMStream):
    async def _run(self) -> None:
        await asyncio.Event().wait()


@asynccontextmanager
async def new_session(model: llm.LLM[Any] | None = None) -> AsyncIterator[AgentSession[None]]:
    session: AgentSession[None] = AgentSession(llm=model or ReceptionistLLM(), vad=None)
    async with session:
        yield session


@contextmanager
def a_job(checkpoint: str = "", room: rtc.Room | None = None) -> Iterator[JobContext]:
    """Be in a job, as an agent's entrypoint is."""
    described = protocol.Job(id="AJ_1", attributes={"voicepod.checkpoint": checkpoint})
    arguments = job.JobAcceptArguments(name="", identity="agent", metadata="")
    process = JobProcess(executor_type=JobExecutorType.THREAD, user_arguments=None, http_proxy=None)
    context = JobContext(
        proc=process,
        info=job.RunningJobInfo(arguments, described, "", "", "AW_1", fake_job=True),
        room=room or rtc.Room(),
        on_connect=lambda: None,
        on_shutdown=lambda reason: None,
        inference_executor=Mock(),
    )
    entered = job._JobContextVar.set(context)
    try:
        yield context
    finally:
        job._JobContextVar.reset(entered)
        context._tempdir.cleanup()


class Line:
    """A published track, as far as the agent knows of it."""

    sid = "TR_1"

    def __init__(self) -> None:
        self.subscribed = asyncio.Event()

    async def wait_for_subscription(self) -> None:
        await self.subscribed.wait()


class Hall(rtc.Room):
    """A room that an agent is alone in until somebody comes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.failures = 0
        """Of the next tracks, how many cannot be published."""
        self.crowded = False
        """Whether the caller comes as soon as the agent."""
        self._local_participant = Mock(
            identity="agent",
            track_publications={},
            publish_track=self._publish,
            set_attributes=AsyncMock(),
            send_bytes=AsyncMock(),
        )

    async def connect(self, *_: Any, **__: Any) -> None:
        """Be connected: it is a room of this test alone."""
        self.emit("connection_state_changed", rtc.ConnectionState.CONN_CONNECTED)
        if self.crowded:
            self.arrive()

    def isconnected(self) -> bool:
        return True

    def arrive(self) -> None:
        kind = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD
        caller = Mock(identity="robert", kind=kind, attributes={}, track_publications={})
        self._remote_participants[caller.identity] = caller
        self.emit("participant_connected", caller)

    async def _publish(self, track: rtc.LocalTrack, options: rtc.TrackPublishOptions) -> Line:
        if self.failures:
            self.failures -= 1
            raise PublishTrackError("the line is down")
        self.lines.append(Line())
        return self.lines[-1]


@pytest.fixture
async def pod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    """A pod whose agent has its job."""
    async with rig() as pod:
        await pod.running()
        monkeypatch.setenv("VOICEPOD_RUNTIME_URL", f"http://{HOST}:{pod.agent_port}/voicepod")
        monkeypatch.setenv("LIVEKIT_API_SECRET", pod.settings.agent_key)
        yield pod


def kept(pod: Rig) -> list[str]:
    """Return what was said, by the checkpoint of a pod."""
    items = json.loads(pod.supervisor.pod.checkpoint or '{"items": []}')["items"]
    return [text for item in items for text in item.get("content", [])]


def has_kept(pod: Rig, items: int) -> bool:
    return len(kept(pod)) == items


def said(session: AgentSession[Any]) -> list[str | None]:
    return [message.text_content for message in session.history.messages()]


def told(pod: Rig) -> PodStatus:
    return pod.supervisor.pod.status()


def talks(pod: Rig) -> tuple[str, int] | None:
    speech = told(pod).speech
    return (speech.state, speech.turns) if speech else None


async def leave_off(pod: Rig) -> str:
    """Have an agent told the caller's name; return the conversation that it leaves."""
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await session.run(user_input="My name is Robert.")
            await until(partial(has_kept, pod, 2))
    return await pod.client.checkpoint(HOST, POD_UID) or ""


async def test_the_conversation_is_kept_after_each_turn(pod: Rig) -> None:
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await session.run(user_input="My name is Robert.")
            await until(partial(has_kept, pod, 2))
            await session.run(user_input="Where are you?")
            await until(partial(has_kept, pod, 4))
            assert kept(pod) == said(session)


async def test_a_replacement_says_so_instead_of_greeting_and_knows_what_was_said(pod: Rig) -> None:
    before = await leave_off(pod)
    with a_job(before):
        async with new_session() as session:
            await session.start(Greeter())
            await until(lambda: RESUMED in said(session))
            await session.run(user_input="What is my name?")
            assert said(session) == [RESUMED, "What is my name?", "Your name is Robert."]
            await until(partial(has_kept, pod, 5))
    assert kept(pod)[0] == "My name is Robert."
    assert kept(pod)[2:] == [RESUMED, "What is my name?", "Your name is Robert."]


async def test_a_replacement_of_a_replacement_knows_all_of_it(pod: Rig) -> None:
    checkpoint = await leave_off(pod)
    for items in (3, 4, 5):
        with a_job(checkpoint):
            async with new_session() as session:
                await session.start(Greeter())
                await until(partial(has_kept, pod, items))
        checkpoint = await pod.client.checkpoint(HOST, POD_UID) or ""
    assert kept(pod)[2:] == [RESUMED] * 3


async def test_an_agent_that_waits_to_be_spoken_to_says_so_as_well(pod: Rig) -> None:
    before = await leave_off(pod)
    with a_job(before):
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await until(lambda: said(session) == [RESUMED])


async def test_words_that_were_not_answered_are_answered_now(pod: Rig) -> None:
    history = llm.ChatContext.empty()
    history.add_message(role="user", content="Where are you?")
    with a_job(voicepod_runtime.exported(history.items)):
        async with new_session() as session:
            await session.start(Greeter())
            await until(lambda: said(session))
            answer = said(session)[0] or ""
    assert answer.startswith("Sorry, I was interrupted. We are at twelve Harbor Street")


async def test_once_it_was_said_the_agent_speaks_as_ever(pod: Rig) -> None:
    before = await leave_off(pod)
    with a_job(before):
        async with new_session() as session:
            await session.start(Greeter())
            await until(lambda: said(session) == [RESUMED] and not session.current_speech)
            await session.say("The soup is ready.")
            assert said(session) == [RESUMED, "The soup is ready."]


async def test_a_caller_who_speaks_first_is_answered(pod: Rig) -> None:
    before = await leave_off(pod)
    with a_job(before):
        async with new_session() as session:
            await session.start(Greeter())
            # As a room does with what its caller types.
            session.interrupt()
            session.generate_reply(user_input="What is my name?")
            await until(lambda: "Your name is Robert." in said(session))


async def test_other_words_may_be_asked_for(pod: Rig) -> None:
    class Asked(ReceptionistLLM):
        instructions: str | None = None

        def chat(self, *, chat_ctx: llm.ChatContext, **options: Any) -> llm.LLMStream:
            self.instructions = chat_ctx.messages()[-1].text_content
            return super().chat(chat_ctx=chat_ctx, **options)

    before, model = await leave_off(pod), Asked()
    with a_job(before):
        async with new_session(model) as session:
            session.resumption = "Sing that you are back."
            await session.start(Greeter())
            await until(lambda: said(session))
    assert model.instructions == "Sing that you are back."


async def test_an_agent_without_a_model_goes_on_without_a_word(
    pod: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    before = await leave_off(pod)
    with a_job(before):
        session: AgentSession[None] = AgentSession(vad=None)
        async with session:
            await session.start(Agent(instructions=""))
            await session.say("Hello again.")
            assert said(session) == ["Hello again."]
    assert "the call goes on without a word about it: trying to generate reply" in caplog.text


@pytest.mark.parametrize("checkpoint", ["?", "[]", "{}", '{"items": [{"type": "song"}]}'])
async def test_what_cannot_be_read_is_logged_and_the_call_goes_on(
    pod: Rig, checkpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    with a_job(checkpoint):
        async with new_session() as session:
            await session.start(Greeter())
            await until(lambda: GREETING in said(session))
    assert "the conversation before cannot be read" in caplog.text


async def test_where_there_is_no_sidecar_it_is_livekits_own_session(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await leave_off(pod)
    monkeypatch.delenv("VOICEPOD_RUNTIME_URL")
    with a_job(before) as context:
        async with new_session() as session:
            await session.start(Greeter())
            await until(lambda: GREETING in said(session))
            assert session.conversation() == session.history.items
        assert [callback.__name__ for callback in context._shutdown_callbacks] == ["<lambda>"]


async def test_only_the_session_that_the_job_is_about_is_told_of(pod: Rig) -> None:
    with a_job():
        async with new_session() as first, new_session() as second:
            await first.start(Agent(instructions="You work in a cafe."))
            await second.start(Agent(instructions="You listen."))
            await second.run(user_input="My name is Peter.")
            await first.run(user_input="My name is Robert.")
            await until(partial(has_kept, pod, 2))
    assert "My name is Peter." not in kept(pod)


async def test_the_sidecar_hears_how_the_agent_talks(pod: Rig) -> None:
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await session.run(user_input="My name is Robert.")
            await until(lambda: talks(pod) == ("listening", 1))
            speech = told(pod).speech
            answer = session.history.messages()[-1]
    assert speech
    assert speech.first_audio
    assert speech.llm_node_ttft == answer.metrics["llm_node_ttft"]
    # It was text, which nobody heard.
    assert (speech.e2e_latency, speech.tts_node_ttfb) == (None, None)


async def test_the_last_beat_is_told_before_the_job_ends(pod: Rig) -> None:
    with a_job() as context:
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
        for callback in context._shutdown_callbacks:
            await callback("the call is over")
    beat = pod.supervisor.pod._health._last
    assert beat
    assert beat.last
    assert told(pod).state == "running"


async def test_a_session_that_dies_of_its_model_is_told_of(pod: Rig) -> None:
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            error = llm.LLMError(
                timestamp=0.0, label="acme.LLM", error=RuntimeError("key k-123"), recoverable=False
            )
            session.emit("close", CloseEvent(error=error, reason=CloseReason.ERROR))
            await until(lambda: pod.supervisor.over.is_set())
    end = told(pod).end
    assert end
    assert (end.reason, end.message) == (
        "AgentSilent",
        "the agent's session has closed: llm_error of acme.LLM",
    )


async def test_a_caller_who_waits_for_an_answer_is_told_of(
    pod: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voicepod_runtime._Reporter, "_is_heard", lambda self: True)
    monkeypatch.setattr(voicepod_runtime, "_BEAT", 0.05)
    with a_job():
        async with new_session(Stuck()) as session:
            await session.start(Agent(instructions="You work in a cafe."))
            session.generate_reply(user_input="My name is Robert.")
            await until(lambda: waited(pod) > 0.2)
            session.interrupt(force=True)
            await until(lambda: waited(pod) == 0)


def waited(pod: Rig) -> float:
    beat = pod.supervisor.pod._health._last
    return beat.waited if beat else 0.0


class Clock:
    """What the runtime takes for ``time``: it goes on when the test says so."""

    time = staticmethod(time.time)

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(voicepod_runtime, "time", clock)
    monkeypatch.setattr(voicepod_runtime, "_BEAT", 0.01)
    return clock


async def next_beat(pod: Rig) -> None:
    before = pod.supervisor.pod._health._last
    await until(lambda: pod.supervisor.pod._health._last is not before)


async def is_quiet_for(pod: Rig, seconds: float) -> None:
    await until(lambda: pod.supervisor.pod._health.quiet == seconds)


@pytest.mark.parametrize(
    "speak",
    [
        lambda session: session._update_user_state("speaking"),
        lambda session: session._update_agent_state("speaking"),
        lambda session: session.emit("user_input_transcribed", None),
        lambda session: session.generate_reply(user_input="My name is Robert."),
    ],
    ids=["caller", "agent", "caller whom only the recognizer hears", "caller who types"],
)
async def test_how_long_nobody_has_spoken_is_told_until_somebody_does(
    pod: Rig,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    speak: Callable[[AgentSession[None]], object],
) -> None:
    monkeypatch.setattr(voicepod_runtime._Reporter, "_is_heard", lambda self: True)
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            clock.now += 100
            await is_quiet_for(pod, 100)
            speak(session)
            await is_quiet_for(pod, 0)


async def test_a_caller_who_is_said_to_be_away_has_not_spoken(
    pod: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voicepod_runtime._Reporter, "_is_heard", lambda self: True)
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            clock.now += 100
            session._update_user_state("away")
            clock.now += 1
            await is_quiet_for(pod, 101)


async def test_the_time_in_which_no_caller_is_there_does_not_count(pod: Rig, clock: Clock) -> None:
    with a_job():
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await until(lambda: talks(pod))
            clock.now += 100
            await next_beat(pod)
            # That one may have been on its way.
            await next_beat(pod)
            assert pod.supervisor.pod._health.quiet == 0


async def test_a_sidecar_that_does_not_listen_keeps_no_call_from_going_on(
    pod: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VOICEPOD_RUNTIME_URL", f"http://{HOST}:1/voicepod")
    monkeypatch.setattr(voicepod_runtime, "_BEAT", 0.01)
    with caplog.at_level(logging.WARNING, "voicepod.runtime"), a_job() as context:
        async with new_session() as session:
            await session.start(Agent(instructions="You work in a cafe."))
            await session.run(user_input="My name is Robert.")
            await until(lambda: "voicepod's sidecar does not listen" in caplog.text)
            await asyncio.sleep(0.1)
        monkeypatch.setattr(voicepod_runtime, "_LAST_WORDS", 0.0)
        for callback in context._shutdown_callbacks:
            await callback("the call is over")
    assert caplog.text.count("voicepod's sidecar does not listen") == 1


async def test_the_line_of_an_agent_stands_before_its_caller_comes(pod: Rig) -> None:
    with a_job(room=(hall := Hall())):
        async with new_session() as session:
            await session.start(Agent(instructions=""), room=hall)
            heard = session.room_io.subscribed_fut
            assert heard
            await until(lambda: hall.lines)
            # A recorder is no caller.
            hall.lines[0].subscribed.set()
            await asyncio.sleep(0.05)
            assert not heard.done()
            hall.arrive()
            await heard
    assert len(hall.lines) == 1


async def test_a_line_that_did_not_stand_in_time_is_made_when_the_caller_comes(
    pod: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    hall = Hall()
    hall.failures = 1
    with a_job(room=hall):
        async with new_session() as session:
            await session.start(Agent(instructions=""), room=hall)
            await until(lambda: not hall.failures)
            hall.arrive()
            await until(lambda: hall.lines)
            hall.lines[0].subscribed.set()
            await session.room_io.wait_for_ready()
    assert "not published ahead of the caller" in caplog.text


async def test_a_caller_who_is_there_first_gets_livekits_own_line(pod: Rig) -> None:
    hall = Hall()
    hall.crowded = True
    with a_job(room=hall):
        async with new_session() as session:
            await session.start(Agent(instructions=""), room=hall)
            assert session.room_io.linked_participant
            await until(lambda: hall.lines)
            hall.lines[0].subscribed.set()
            await session.room_io.wait_for_ready()
    assert len(hall.lines) == 1


async def test_the_agent_is_on_its_way_while_its_session_is_set_up(pod: Rig) -> None:
    ways: list[bool] = []

    class Watched(Hall):
        async def connect(self, *_: Any, **__: Any) -> None:
            ways.append(session._room_io is None)
            await super().connect()

    with a_job(room=(hall := Watched())):
        async with new_session() as session:
            await session.start(Agent(instructions=""), room=hall)
    assert ways == [True]


async def test_a_room_that_cannot_be_entered_is_tried_again_and_then_told_of(pod: Rig) -> None:
    tries: list[None] = []

    class Closed(Hall):
        async def connect(self, *_: Any, **__: Any) -> None:
            tries.append(None)
            raise rtc.ConnectError("the room is closed")

    with a_job(room=(hall := Closed())):
        async with new_session() as session:
            with pytest.raises(rtc.ConnectError, match="closed"):
                await session.start(Agent(instructions=""), room=hall)
    assert len(tries) == 2


@pytest.fixture
def another_process() -> Iterator[None]:
    """One that has not rehearsed yet."""
    rehearse.cache_clear()
    yield
    rehearse.cache_clear()


@pytest.mark.usefixtures("another_process")
async def test_an_agent_rehearses_its_join_and_says_nothing_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig() as pod:
        monkeypatch.setenv("VOICEPOD_RUNTIME_URL", f"http://{HOST}:{pod.agent_port}/voicepod")
        monkeypatch.setenv("LIVEKIT_URL", f"ws://{HOST}:{pod.agent_port}")
        with caplog.at_level(logging.INFO):
            await asyncio.to_thread(rehearse)
            assert not [record for record in caplog.records if record.name == "livekit"]
        # It was this sidecar that has refused, and no more than that happened there.
        with pytest.raises(rtc.ConnectError, match="401 Unauthorized - no room is here"):
            await rtc.Room().connect(f"ws://{HOST}:{pod.agent_port}", "rehearsal")
        assert pod.supervisor.pod.state is PodState.STARTING


@pytest.mark.usefixtures("another_process")
def test_an_agent_without_a_sidecar_rehearses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOICEPOD_RUNTIME_URL", raising=False)
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:9")
    monkeypatch.setattr(rtc, "Room", Mock(side_effect=AssertionError("it joins a room")))
    rehearse()


@pytest.mark.usefixtures("another_process")
async def test_an_agent_rehearses_once_and_gives_up_if_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rehearsals = 0

    async def never(*_: Any) -> None:
        nonlocal rehearsals
        rehearsals += 1
        await asyncio.Event().wait()

    monkeypatch.setattr(voicepod_runtime, "_REHEARSAL", 0.01)
    monkeypatch.setattr(rtc.Room, "connect", never)
    monkeypatch.setenv("VOICEPOD_RUNTIME_URL", "http://127.0.0.1:9/voicepod")
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:9")
    await asyncio.to_thread(rehearse)
    await asyncio.to_thread(rehearse)
    assert rehearsals == 1
