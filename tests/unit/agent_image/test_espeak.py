import asyncio
import os
from pathlib import Path

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions

from voicepod_agent.offline.tts import SAMPLE_RATE, EspeakTTS

pytestmark = pytest.mark.unit

NO_RETRY = APIConnectOptions(max_retry=0)


async def speak(text: str) -> rtc.AudioFrame:
    async with EspeakTTS().synthesize(text, conn_options=NO_RETRY) as stream:
        return await stream.collect()


def use_program(monkeypatch: pytest.MonkeyPatch, directory: Path, script: str) -> None:
    program = directory / "espeak-ng"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


async def test_a_sentence_is_spoken_aloud_at_the_declared_rate() -> None:
    frame = await speak("Hello, how can I help you?")

    assert (frame.sample_rate, frame.num_channels) == (SAMPLE_RATE, 1)
    # At 150 words a minute six words take 2.4 s, less or more.
    assert 1 < frame.duration < 4
    assert np.sqrt(np.mean(np.array(frame.data, dtype=np.float64) ** 2)) > 500


async def test_a_longer_text_takes_longer() -> None:
    short, long = await asyncio.gather(speak("Hello."), speak("Hello. Hello. Hello."))

    assert long.duration > 2 * short.duration


async def test_a_text_is_never_taken_for_an_option() -> None:
    assert (await speak("--help")).duration > 0.2


async def test_a_program_that_fails_is_an_error_of_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_program(monkeypatch, tmp_path, "exit 1")

    with pytest.raises(APIConnectionError):
        await speak("Hello.")


async def test_an_interrupted_sentence_leaves_no_process_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    use_program(monkeypatch, tmp_path, f"echo $$ > {pid}; head -c 200000 /dev/zero; exec sleep 600")

    async with EspeakTTS().synthesize("Hello.", conn_options=NO_RETRY) as stream:
        await anext(stream)

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_missing_program_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(RuntimeError, match="install your distribution's package espeak-ng"):
        EspeakTTS()
