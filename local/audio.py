"""A caller's ear and microphone."""

import asyncio
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from livekit import rtc

# What is sent and kept: enough for a voice. WebRTC itself runs at 48 kHz, and converts.
RATE = 24000
FRAME_SECONDS = 0.02

# Where silence ends, as root mean square of 16 bit samples: a line that carries nothing arrives
# with less than 5, espeak-ng's voice with 1000 to 5000, its softest consonants with about 100.
LOUD = 200

# Pauses between two sentences of espeak-ng last up to 0.5 s.
PAUSE = 0.8


@dataclass
class Utterance:
    """A stretch of speech; `end` is None while it goes on, then the end of its last loud frame."""

    start: float
    end: float | None = None


class Ear:
    """Tells speech from silence by loudness alone, and keeps all that it hears."""

    def __init__(self) -> None:
        self.utterances: list[Utterance] = []
        self.samples = bytearray()
        """All that was heard, pauses included."""
        self.loud_until = 0.0
        """When the last loud frame came, 0.0 if none has."""

    def hear(self, frame: bytes, at: float) -> None:
        """Take a frame of 16 bit mono samples which arrived at the time `at`."""
        self.samples += frame
        samples = np.frombuffer(frame, dtype=np.int16).astype(np.float64)
        speaking = bool(self.utterances) and self.utterances[-1].end is None
        if np.sqrt(np.mean(samples**2)) >= LOUD:
            self.loud_until = at
            if not speaking:
                self.utterances.append(Utterance(start=at))
        elif speaking and at - self.loud_until >= PAUSE:
            self.line_ended()

    def line_ended(self) -> None:
        """End the utterance, as no more of it comes."""
        if self.utterances and self.utterances[-1].end is None:
            self.utterances[-1].end = self.loud_until


def save(path: Path, ears: Iterable[Ear]) -> None:
    """Write what some ears heard to a WAV file, one after the other."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        for ear in ears:
            file.writeframes(ear.samples)


class Microphone:
    """Sends sound without a break, silence included, as a real microphone does.

    Agents wait for silence to know that it is their turn, so a line that merely stops won't do.
    """

    def __init__(self) -> None:
        # A short queue: what is said now is heard 40 ms later.
        self._source = rtc.AudioSource(RATE, num_channels=1, queue_size_ms=40)
        self.track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        self._pending: list[rtc.AudioFrame] = []
        self._spoken = asyncio.Event()
        self._on = True

    async def run(self) -> None:
        """Send what is pending, else silence, until turned off."""
        silence = rtc.AudioFrame.create(RATE, 1, int(RATE * FRAME_SECONDS))
        while self._on:
            frame = self._pending.pop(0) if self._pending else silence
            # Returns when the queue has room: that keeps the pace.
            await self._source.capture_frame(frame)
            if not self._pending:
                self._spoken.set()

    def turn_off(self) -> None:
        """End `run` after the frame that it is about to send."""
        self._on = False

    async def play(self, recording: Path) -> None:
        """Speak a WAV file, and return when its last sample is out."""
        with wave.open(str(recording)) as file:
            rate, sound = file.getframerate(), file.readframes(file.getnframes())
        resampler = rtc.AudioResampler(rate, RATE)
        self._pending += [*resampler.push(bytearray(sound)), *resampler.flush()]
        self._spoken.clear()
        await self._spoken.wait()
