import wave

import pytest
from livekit import rtc
from livekit.agents.utils.audio import silence_frame

from local.caller import SPEECH
from voicepod_agent.offline.stt import SphinxSTT

pytestmark = pytest.mark.unit


@pytest.fixture(scope="module")
def ears() -> SphinxSTT:
    return SphinxSTT()


def recording(name: str) -> rtc.AudioFrame:
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        rate, samples = file.getframerate(), file.getnframes()
        return rtc.AudioFrame(file.readframes(samples), rate, 1, samples)


async def understood(ears: SphinxSTT, frame: rtc.AudioFrame) -> str:
    # Voice activity detection leaves half a second before the speech and a quarter behind it.
    before = silence_frame(0.5, frame.sample_rate)
    behind = silence_frame(0.25, frame.sample_rate)
    event = await ears.recognize([before, frame, behind])
    return event.alternatives[0].text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hours", {"opening", "hours"}),
        ("name", {"my", "name", "robert"}),
        ("recall", {"what", "my", "name"}),
        ("goodbye", {"goodbye"}),
    ],
)
async def test_a_recorded_caller_is_understood(ears: SphinxSTT, name: str, words: set[str]) -> None:
    assert words <= set((await understood(ears, recording(name))).split())


async def test_the_first_words_of_a_call_are_understood_as_well_as_later_ones() -> None:
    ears = SphinxSTT()
    heard = [await understood(ears, recording(name)) for name in ("name", "hours", "name")]

    assert heard[0] == heard[2] == "my name is robert"


async def test_the_rate_of_the_line_makes_no_difference(ears: SphinxSTT) -> None:
    frame = recording("hours")
    resampler = rtc.AudioResampler(frame.sample_rate, 48000)
    wide = rtc.combine_audio_frames([*resampler.push(frame), *resampler.flush()])

    assert await understood(ears, wide) == await understood(ears, frame)


async def test_silence_has_no_words(ears: SphinxSTT) -> None:
    assert await understood(ears, silence_frame(1.0, 24000)) == ""
