"""A caller: joins a room as a browser would, speaks, and listens to what the agent says.

The demo, the cluster tests and the benches call by it. What happens is kept as wall-clock times
(unix seconds), so that a call and the ledger of its session can be laid side by side::

    async with asyncio.timeout(30), Caller(url, join_token(key, secret, room, "robert")) as caller:
        greeted = await caller.heard_speech()
        await caller.heard_silence(after=greeted)
        asked = await caller.say(SPEECH / "hours.wav")
        answered = await caller.heard_speech(after=asked)

The awaitables have no time limit of their own. They raise ConnectionError when the room is gone.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from livekit import api, rtc
from livekit.rtc.participant import PublishTrackError

from local.audio import FRAME_SECONDS, RATE, Ear, Microphone, Utterance, save

SPEECH = Path(__file__).parent / "speech"
"""Recordings of what a caller says, mono and 16 bit; `record.sh` there makes them."""

# A starved livekit-server answers a join with "could not find any available nodes" until its
# statistics, which it renews every few seconds, look better again.
_JOIN_PATIENCE = 15.0
_JOIN_RETRY = 0.5

T = TypeVar("T")


def join_token(api_key: str, api_secret: str, room: str, identity: str) -> str:
    """Sign a token that joins `room` as `identity`."""
    grants = api.VideoGrants(room_join=True, room=room)
    token = api.AccessToken(api_key, api_secret).with_identity(identity).with_grants(grants)
    return token.to_jwt()


@dataclass(frozen=True)
class Line:
    """A line of the transcript, from LiveKit's text streams."""

    identity: str
    text: str
    at: float


@dataclass
class AgentTrack:
    """An agent's audio track. One that takes a call over brings its own."""

    agent: str
    """The participant's sid: another one with each join, whatever its identity."""
    published: float
    """When it was announced."""
    subscribed: float = 0.0
    """When it was there to be heard, 0.0 until then."""
    ended: float | None = None
    """When it was gone, None until then."""
    ear: Ear = field(default_factory=Ear)
    listening: asyncio.Task[None] | None = None


class Caller:
    """One caller in one room; see the module's docstring for how a call goes."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare to join, at `url` (ws://…), the room that the token is for."""
        self._url = url
        self._token = token
        self._room = rtc.Room()
        self._live: dict[str, AgentTrack] = {}
        self.agent_tracks: list[AgentTrack] = []
        """The agents' audio tracks, the oldest first."""
        self.down: list[tuple[float, float]] = []
        """From when until when the line to LiveKit was down; until infinity while it is."""
        self._microphone = Microphone()
        self._tasks: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._dropped: rtc.DisconnectReason.ValueType | None = None
        self.dialed = 0.0
        """When the join began."""
        self.joined = 0.0
        """When the room let the caller in."""
        self.transcript: list[Line] = []
        """What both sides said, as the agent wrote it down."""

    async def __aenter__(self) -> Self:
        """Join the room and turn the microphone on; raises rtc.ConnectError if that is refused."""
        self.dialed = time.time()
        try:
            await self._connect()
            self.joined = time.time()
            # At once: LiveKit tells the others of a participant without a track only 3 s later.
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await self._room.local_participant.publish_track(self._microphone.track, options)
        except PublishTrackError as error:
            # The server has died since.
            await self._room.disconnect()
            raise rtc.ConnectError(str(error)) from error
        except BaseException:
            await self._room.disconnect()
            raise
        self._speaking = asyncio.create_task(self._microphone.run())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.leave()

    @property
    def utterances(self) -> list[Utterance]:
        """All that was heard of the agents, oldest first."""
        heard = (u for track in self.agent_tracks for u in track.ear.utterances)
        return sorted(heard, key=attrgetter("start"))

    async def dropped(self) -> rtc.DisconnectReason.ValueType:
        """Wait until the caller is out of the room for good without having left it; say why."""
        return await self._until(lambda: self._dropped)

    async def agent_track(self) -> AgentTrack:
        """Wait until an agent's audio track is there to be heard."""
        return await self._until(
            lambda: next((track for track in self.agent_tracks if track.subscribed), None)
        )

    async def heard_another(self, agents: Collection[str]) -> AgentTrack:
        """Wait until an agent begins to speak that is none of these, by their sids."""
        return await self._until(
            lambda: next(
                (t for t in self.agent_tracks if t.agent not in agents and t.ear.utterances), None
            )
        )

    async def heard_speech(self, after: float = 0.0) -> float:
        """Wait until the agent begins to speak after the time `after`, and say when it did."""
        return await self._until(
            lambda: next((u.start for u in self.utterances if u.start > after), None)
        )

    async def heard_silence(self, after: float = 0.0) -> float:
        """Wait until the agent has spoken after the time `after` and is done; say when it was."""
        return await self._until(
            lambda: next((u.end for u in self.utterances if u.end and u.end > after), None)
        )

    async def read(self, words: str, after: float = 0.0) -> Line:
        """Wait for a line of the transcript that has `words` in it, in whatever case."""
        return await self._until(
            lambda: next(
                (
                    line
                    for line in self.transcript
                    if line.at > after and words.lower() in line.text.lower()
                ),
                None,
            )
        )

    async def say(self, recording: Path) -> float:
        """Speak a WAV file, and say when the last of it was spoken."""
        await self._microphone.play(recording)
        return time.time()

    async def send_chat(self, text: str) -> float:
        """Type `text` to the agent instead of speaking; say when it was sent."""
        await self._room.local_participant.send_text(text, topic="lk.chat")
        return time.time()

    def save(self, path: Path) -> None:
        """Write all that the agents' tracks carried, pauses included, to a WAV file."""
        save(path, (track.ear for track in self.agent_tracks))

    async def leave(self) -> None:
        """Hang up; the context's end does it too, and twice does no harm."""
        # The room goes last: a frame that is sent meanwhile would never be taken.
        self._microphone.turn_off()
        await self._speaking
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._room.disconnect()

    async def _connect(self) -> None:
        give_up = time.monotonic() + _JOIN_PATIENCE
        while True:
            room = self._room = rtc.Room()
            room.on("track_published", self._on_published)
            room.on("track_subscribed", self._on_track)
            room.on("track_unpublished", self._on_unpublished)
            room.on("participant_disconnected", self._on_left)
            room.on("reconnecting", self._on_reconnecting)
            room.on("reconnected", self._on_reconnected)
            room.on("disconnected", self._on_disconnected)
            room.register_text_stream_handler("lk.transcription", self._on_transcription)
            try:
                await room.connect(self._url, self._token)
            except rtc.ConnectError as error:
                # A token that is refused is refused the next time, too.
                if "401" in error.message or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(_JOIN_RETRY)
            else:
                # Of those who were there before the caller no event tells.
                for participant in room.remote_participants.values():
                    for publication in participant.track_publications.values():
                        self._on_published(publication, participant)
                return

    def _on_published(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if _is_agents_audio(publication, participant) and publication.sid not in self._live:
            track = self._live[publication.sid] = AgentTrack(participant.sid, time.time())
            self.agent_tracks.append(track)

    def _on_unpublished(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if publication.sid in self._live:
            self._end(publication.sid)

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        # Of its tracks no other event tells.
        for sid in [sid for sid, track in self._live.items() if track.agent == participant.sid]:
            self._end(sid)

    def _end(self, sid: str) -> None:
        track = self._live.pop(sid)
        track.ended = time.time()
        # What still comes on it is the next agent's: WebRTC uses the line again.
        if track.listening:
            track.listening.cancel()

    def _on_track(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if _is_agents_audio(publication, participant):
            self._on_published(publication, participant)
            known = self._live[publication.sid]
            known.subscribed = time.time()
            self._news.set()
            known.listening = self._spawn(self._listen(track, known.ear))

    async def _listen(self, track: rtc.Track, ear: Ear) -> None:
        stream = rtc.AudioStream.from_track(
            track=track, sample_rate=RATE, frame_size_ms=int(FRAME_SECONDS * 1000)
        )
        try:
            async for event in stream:
                ear.hear(bytes(event.frame.data), time.time())
                self._news.set()
        finally:
            await stream.aclose()
            ear.line_ended()
            self._news.set()

    def _on_transcription(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._spawn(self._write_down(reader, identity))

    async def _write_down(self, reader: rtc.TextStreamReader, identity: str) -> None:
        try:
            text = await reader.read_all()
        except rtc.StreamError:
            return  # The one who wrote has left in the middle of the line.
        # What the agent makes of the caller's words comes as guesses first.
        if (reader.info.attributes or {}).get("lk.transcription_final") == "true":
            self.transcript.append(Line(identity, text, time.time()))
            self._news.set()

    def _on_reconnecting(self) -> None:
        # Told again when the SDK gives a connection up and makes a new one.
        if not self.down or self.down[-1][1] < math.inf:
            self.down.append((time.time(), math.inf))

    def _on_reconnected(self) -> None:
        if self.down:
            self.down[-1] = self.down[-1][0], time.time()

    def _on_disconnected(self, reason: rtc.DisconnectReason.ValueType) -> None:
        self._dropped = reason
        for sid in list(self._live):
            self._end(sid)
        self._news.set()

    async def _until(self, find: Callable[[], T | None]) -> T:
        while (found := find()) is None:
            if self._dropped is not None:
                raise ConnectionError("the room is gone")
            self._news.clear()
            await self._news.wait()
        return found

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_agents_audio(
    publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
) -> bool:
    agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    return agent and publication.kind == rtc.TrackKind.KIND_AUDIO
