"""The ears of the offline pipeline: PocketSphinx with a language model of the café's own sentences.

With its general model PocketSphinx needs 88 MB and gets every fourth word wrong. With one of what
callers of a café say, it needs 7 MB and gets nearly all of that right.
"""

import asyncio
import tempfile
import threading
from pathlib import Path
from typing import Never

from livekit import rtc
from livekit.agents import LanguageCode, stt
from livekit.agents.types import NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import AudioBuffer, shortuuid
from pocketsphinx import Decoder, get_model_path
from pocketsphinx.lm import ArpaBoLM

from voicepod_agent.offline.phrases import sentences

# What PocketSphinx's acoustic model was trained with: mono, 16 bit.
_SAMPLE_RATE = 16000


class SphinxSTT(stt.STT[Never]):
    """Recognizes an utterance at a time; AgentSession cuts them by its voice activity detection."""

    def __init__(self) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._decoder = _make_decoder()
        self._one_at_a_time = threading.Lock()

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        text = await asyncio.to_thread(self._decode, rtc.combine_audio_frames(buffer))
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=shortuuid("sphinx_"),
            alternatives=[stt.SpeechData(language=LanguageCode("en"), text=text)],
        )

    def _decode(self, frame: rtc.AudioFrame) -> str:
        sound = _resample(frame)
        with self._one_at_a_time:
            self._decoder.start_utt()
            # As a whole, so that its loudness and the line's colour are evened out over all of it:
            # of the first words of a call, one in seven is wrong otherwise.
            self._decoder.process_raw(sound, full_utt=True)
            self._decoder.end_utt()
            hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


def _resample(frame: rtc.AudioFrame) -> bytes:
    resampler = rtc.AudioResampler(
        frame.sample_rate, _SAMPLE_RATE, quality=rtc.AudioResamplerQuality.HIGH
    )
    frames = [*resampler.push(frame), *resampler.flush()]
    return b"".join(bytes(piece.data) for piece in frames)


def _make_decoder() -> Decoder:
    """Build the language model and the dictionary of the sentences' own words; takes 0.1 s."""
    phrases = sentences()
    words = {word for phrase in phrases for word in phrase.split()}
    # PocketSphinx reads both from files only, and only while it is made.
    with tempfile.TemporaryDirectory() as folder:
        language_model = Path(folder, "phrases.arpa")
        dictionary = Path(folder, "phrases.dict")

        model = ArpaBoLM(text="\n".join(phrases), add_start=True)
        model.compute()
        model.write_file(str(language_model))

        with (
            open(get_model_path("en-us/cmudict-en-us.dict")) as english,
            dictionary.open("w") as chosen,
        ):
            # A line is "word phonemes", and "word(2) phonemes" for another way to say it.
            chosen.writelines(
                line for line in english if line.split(maxsplit=1)[0].split("(")[0] in words
            )

        return Decoder(
            hmm=get_model_path("en-us/en-us"),
            lm=str(language_model),
            dict=str(dictionary),
            # How much the language model counts against the sound. With five synthetic voices the
            # default, 6.5, got 10 % of the words wrong, and 12 got 4 %.
            lw=12,
            # Two further passes over the utterance get hardly a word more right in this small
            # domain, and hold the interpreter's lock, and so the agent's event loop, twice as long.
            fwdflat=False,
            bestpath=False,
            loglevel="FATAL",
        )
