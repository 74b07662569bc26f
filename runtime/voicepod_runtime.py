"""voicepod's part in the agent's process: a call goes on when the process that it began in cannot.

It takes the place of LiveKit's ``AgentSession``, and of nothing else::

    from voicepod_runtime import AgentSession, rehearse

After every turn it gives the conversation so far to the sidecar in its pod, and each second it
tells how the agent is. When an agent dies, hangs or stays silent, the operator starts another one
with that conversation: it knows what was said, and says so in one sentence instead of greeting
again. It connects before it sets up the rest, and publishes the agent's track before the caller is
there; called in ``setup_fnc``, ``rehearse`` has what connecting takes loaded before the call comes.
Where there is no sidecar it is LiveKit's ``AgentSession``, and does nothing of its own.

One file that needs livekit-agents 1.8 alone: install it, or copy it beside your agent.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterable, Sequence
from functools import cache
from typing import Any, Final, TypeVar

import aiohttp
from livekit import agents, rtc
from livekit.agents import Agent, JobContext, get_job_context, llm
from livekit.agents.voice import SpeechHandle

__all__ = ["RESUMPTION", "AgentSession", "rehearse"]

logger = logging.getLogger("voicepod.runtime")

RESUMPTION: Final = (
    "The connection to the caller was interrupted for a moment and is back. Say so in one short "
    "sentence, in the language of the conversation, with the caller's name if you know it. Do not "
    "greet again. If the caller's last words were not answered yet, answer them now."
)
"""What a language model is told to go on with a conversation by."""

# What the operator sets in the agent's container, and in its job.
_URL: Final = "VOICEPOD_RUNTIME_URL"
_SIDECAR: Final = "LIVEKIT_URL"
_KEY: Final = "LIVEKIT_API_SECRET"
_ATTRIBUTE: Final = "voicepod.checkpoint"

# Bytes: the most that the sidecar takes.
_MAX_CHECKPOINT: Final = 512 * 1024

# Seconds between two beats. The sidecar takes an agent for dead after five.
_BEAT: Final = 1.0

# Seconds for one request. The sidecar is on the loopback, and only takes a note.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2)

# Seconds that the end of a job waits for its last beat.
_LAST_WORDS: Final = 2.0

# Seconds for the rehearsal, and for what LiveKit's library still has to log of it.
_REHEARSAL: Final = 2.0
_AFTERMATH: Final = 0.05

_Userdata = TypeVar("_Userdata")


@cache
def rehearse() -> None:
    """Join a room in vain, before the call comes; call it in the ``setup_fnc`` of your agent.

    The first time that a process joins a room, it loads what that takes: a third of the time until
    it has asked. The sidecar has no room, and refuses. Once in a process: LiveKit sets up the next
    thread for a job while the first one joins.
    """
    url = os.environ.get(_SIDECAR)
    if url and os.environ.get(_URL):
        asyncio.run(_join_in_vain(url))


async def _join_in_vain(url: str) -> None:
    library = logging.getLogger("livekit")
    # It complains of what is meant to be.
    library.addFilter(_nothing)
    try:
        async with asyncio.timeout(_REHEARSAL):
            await rtc.Room().connect(url, "rehearsal")
    except (rtc.ConnectError, TimeoutError):
        await asyncio.sleep(_AFTERMATH)
    finally:
        library.removeFilter(_nothing)


def _nothing(_: logging.LogRecord) -> bool:
    return False


class AgentSession(agents.AgentSession[_Userdata]):
    """LiveKit's ``AgentSession``, with a conversation that outlives its process."""

    resumption: str = RESUMPTION
    """The instructions of the sentence that a replacement begins with; set it for other ones."""

    _past: Sequence[llm.ChatItem] = ()
    _resuming = False
    _opening: SpeechHandle | None = None

    async def start(self, agent: Agent, **options: Any) -> Any:
        """Start as LiveKit's own does; with the conversation of the one before, if there was one.

        The first agent of a call gets the whole conversation, whichever agent led it at its end.
        """
        job, url = get_job_context(required=False), os.environ.get(_URL)
        if job is None or url is None or not _is_primary(self, job):
            return await super().start(agent, **options)
        if options.get("room") is job.room:
            await _connect_ahead(job)
        self._past = restored(job.job.attributes.get(_ATTRIBUTE, ""))
        if self._past:
            await agent.update_chat_ctx(llm.ChatContext([*agent.chat_ctx.items, *self._past]))
        self._resuming = bool(self._past)
        reporter = _Reporter(self, url, os.environ.get(_KEY, ""))
        job.add_shutdown_callback(reporter.finish)
        try:
            result = await super().start(agent, **options)
        except BaseException:
            reporter.close("")
            raise
        _publish_ahead(self)
        # An agent that greets has been answered with it already; one that waits to be spoken to
        # says it as well.
        self._resume()
        return result

    def say(self, text: str | AsyncIterable[str], **options: Any) -> SpeechHandle:
        """Say something; while a call is being resumed, that is what is said in place of it."""
        return self._resume() or super().say(text, **options)

    def generate_reply(self, **options: Any) -> SpeechHandle:
        """Have a reply made; while a call is being resumed, that is what nobody has asked for."""
        resumed = None if options.get("user_input") else self._resume()
        return resumed or super().generate_reply(**options)

    def conversation(self) -> list[llm.ChatItem]:
        """Return all that was said, by this agent and by those before it."""
        return merged(self._past, self.history.items)

    def _resume(self) -> SpeechHandle | None:
        """Return the sentence that the call is resumed with until its end, then None.

        What the agent's own code says unasked meanwhile is the greeting, to a caller whom another
        agent has greeted long ago.
        """
        if self._resuming:
            self._resuming = False
            try:
                self._opening = super().generate_reply(instructions=self.resumption)
            except RuntimeError as error:
                logger.warning("the call goes on without a word about it: %s", error)
        opening = self._opening
        return None if opening is None or opening.done() or opening.interrupted else opening


def merged(past: Sequence[llm.ChatItem], history: Sequence[llm.ChatItem]) -> list[llm.ChatItem]:
    """Return the items of both, each once, the past first.

    Not by their times: the clock of another node may be ahead of this one's.
    """
    known = {item.id for item in past}
    return [*past, *(item for item in history if item.id not in known)]


def exported(items: Sequence[llm.ChatItem]) -> str:
    """Return a conversation as JSON; the newest part of one that is larger than the sidecar takes.

    Pictures and sound are left out.
    """
    while True:
        context = llm.ChatContext(list(items)).to_dict(
            exclude_timestamp=False, exclude_metrics=True, exclude_config_update=True
        )
        # ASCII, and so as many bytes as characters.
        text = json.dumps(context, separators=(",", ":"))
        if len(text) <= _MAX_CHECKPOINT:
            return text
        items = items[(len(items) + 1) // 2 :]


def restored(checkpoint: str) -> list[llm.ChatItem]:
    """Return the conversation of a checkpoint; nothing if there is none, or none that is legible.

    What cannot be read is logged, and the call goes on without it.
    """
    if not checkpoint:
        return []
    try:
        items = llm.ChatContext.from_dict(json.loads(checkpoint)).items
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        logger.error("the conversation before cannot be read, and is lost: %s", error)
        return []
    now = time.time()
    for item in items:
        # What is said from now on comes after it, even where the clock of its node was ahead.
        item.created_at = min(item.created_at, now)
    return items


def _is_primary(session: agents.AgentSession[Any], job: JobContext) -> bool:
    """Whether a session is the one that the job is about: the first that it starts."""
    try:
        return job.primary_session is session
    except RuntimeError:
        return True


async def _connect_ahead(job: JobContext) -> None:
    """Begin to connect to the room.

    LiveKit's session does so when all else is set up. It finds the connection then, or waits for
    this one, and tells if there is none.
    """
    connecting = asyncio.create_task(job.connect(), name="voicepod_connect_ahead")
    connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
    # What follows has the event loop to itself for long.
    await asyncio.sleep(0)


def _publish_ahead(session: agents.AgentSession[Any]) -> None:
    """Publish the agent's audio track before the caller is there, who then need not wait for it.

    LiveKit's session publishes it when the caller is there, which takes a tenth of a second. It
    still plays nothing before that: who subscribes earlier, a recorder for one, gets silence.
    """
    try:
        room_io = session.room_io
    except RuntimeError:
        return
    output: Any = room_io._audio_output
    if output is None or room_io.linked_participant is not None:
        return
    publish_now = output._publish_track

    async def publish() -> rtc.LocalTrackPublication:
        track = rtc.LocalAudioTrack.create_audio_track(output._track_name, output._audio_source)
        participant = room_io.room.local_participant
        return await participant.publish_track(track, output._publish_options)

    ahead = asyncio.create_task(publish(), name="voicepod_publish_ahead")

    async def publish_track() -> None:
        await asyncio.wait([ahead])
        if ahead.cancelled() or ahead.exception():
            logger.warning("the agent's track was not published ahead of the caller")
            await publish_now()
            return
        output._publication = ahead.result()
        await output._publication.wait_for_subscription()
        if not output.subscribed.done():
            output.subscribed.set_result(None)

    output._publish_track = publish_track


class _Reporter:
    """Tells the sidecar how the call goes, from the job's own event loop, until it closes."""

    def __init__(self, session: AgentSession[Any], url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._checkpoint: str | None = None
        self._turns = 0
        self._first_audio: float | None = None
        self._metrics: llm.MetricsReport = {}
        self._tools: set[str] = set()
        self._moved = self._spoken = time.monotonic()
        self._closed = False
        self._error = ""
        self._failing = False
        self._news = asyncio.Event()
        session.on("agent_state_changed", self._on_state)
        session.on("user_state_changed", self._on_user_state)
        session.on("user_input_transcribed", self._on_words)
        session.on("speech_created", self._on_move)
        session.on("tool_execution_updated", self._on_tool)
        session.on("conversation_item_added", self._on_item)
        session.on("function_tools_executed", self._on_tools_executed)
        session.on("close", self._on_close)
        self._task = asyncio.create_task(self._run(), name="voicepod_runtime")

    def close(self, error: str) -> None:
        """There is nothing more to tell, but this."""
        self._closed, self._error = True, error
        self._news.set()

    async def finish(self) -> None:
        """Wait for the last beat."""
        self._closed = True
        self._news.set()
        await asyncio.wait([self._task], timeout=_LAST_WORDS)
        self._task.cancel()

    def _on_state(self, event: agents.AgentStateChangedEvent) -> None:
        self._moved = self._spoken = time.monotonic()
        if event.new_state == "speaking" and self._first_audio is None:
            self._first_audio = event.created_at
        self._news.set()

    def _on_user_state(self, event: agents.UserStateChangedEvent) -> None:
        self._moved = time.monotonic()
        # "away" is said of those who have been silent for a while.
        if event.new_state != "away":
            self._spoken = self._moved

    def _on_words(self, _: object) -> None:
        self._spoken = time.monotonic()

    def _on_move(self, _: object) -> None:
        self._moved = time.monotonic()

    def _on_tool(self, event: Any) -> None:
        self._moved = time.monotonic()
        if event.update.type == "tool_call_started":
            self._tools.add(event.update.function_call.call_id)
        elif event.update.type == "tool_call_ended":
            self._tools.discard(event.update.call_id)

    def _on_item(self, event: agents.ConversationItemAddedEvent) -> None:
        if isinstance(event.item, llm.ChatMessage) and event.item.role == "assistant":
            self._turns += 1
            self._metrics = event.item.metrics
        self._spoken = time.monotonic()
        self._keep()

    def _on_tools_executed(self, _: object) -> None:
        self._keep()

    def _on_close(self, event: agents.CloseEvent) -> None:
        # Not in the service's own words, which may hold a key: the agent's log has them.
        error = event.error
        self.close(f"{error.type} of {error.label}" if error else "")

    def _keep(self) -> None:
        self._checkpoint = exported(self._session.conversation())
        self._news.set()

    async def _run(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers, timeout=_TIMEOUT) as http:
            while True:
                self._news.clear()
                # Before the requests: what happens meanwhile is told by the next ones.
                closed, checkpoint = self._closed, self._checkpoint
                if checkpoint is not None:
                    sent = await self._send(http, "PUT", "checkpoint", checkpoint)
                    if sent and self._checkpoint is checkpoint:
                        self._checkpoint = None
                sent = await self._send(http, "POST", "beat", json.dumps(self._beat(closed)))
                if closed and sent:
                    return
                try:
                    async with asyncio.timeout(_BEAT):
                        await self._news.wait()
                except TimeoutError:
                    pass

    async def _send(self, http: aiohttp.ClientSession, method: str, what: str, body: str) -> bool:
        """Return whether the sidecar has taken it, or will never take it."""
        try:
            async with http.request(method, f"{self._url}/{what}", data=body) as response:
                problem = "" if response.ok else f"{response.status} {await response.text()}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._complain(str(error) or type(error).__name__)
            return False
        self._complain(problem)
        return True

    def _complain(self, problem: str) -> None:
        """Log that the sidecar does not listen: once, and not each second."""
        if problem and not self._failing:
            logger.warning("voicepod's sidecar does not listen: %s", problem)
        self._failing = bool(problem)

    def _beat(self, last: bool) -> dict[str, Any]:
        speech = {
            "state": self._session.agent_state,
            "first_audio": self._first_audio,
            "turns": self._turns,
            **{
                name: self._metrics.get(name)
                for name in ("e2e_latency", "llm_node_ttft", "tts_node_ttfb")
            },
        }
        return {
            "speech": speech,
            "waited": 0.0 if last else self._waited(),
            "quiet": 0.0 if last else self._quiet(),
            "error": self._error,
            "last": last,
        }

    def _waited(self) -> float:
        """Return for how many seconds a caller has been waiting for the agent to speak."""
        now = time.monotonic()
        if not self._is_awaited():
            self._moved = now
        return now - self._moved

    def _quiet(self) -> float:
        """Return for how many seconds nobody has spoken in a call that somebody is in."""
        now = time.monotonic()
        if self._is_held_up() or self._session.agent_state != "listening":
            self._spoken = now
        return now - self._spoken

    def _is_awaited(self) -> bool:
        session = self._session
        if self._is_held_up():
            return False
        if session.agent_state in ("initializing", "thinking"):
            return True
        return session.current_speech is not None and session.agent_state != "speaking"

    def _is_held_up(self) -> bool:
        """Whether there is a reason for the agent to be silent."""
        # A tool takes its time, and is not to be called a second time by a replacement.
        return bool(self._tools) or self._session.user_state == "speaking" or not self._is_heard()

    def _is_heard(self) -> bool:
        """Whether a caller is there who would hear the agent."""
        try:
            room = self._session.room_io
        except RuntimeError:
            return False
        subscribed = room.subscribed_fut
        return room.linked_participant is not None and (subscribed is None or subscribed.done())
