"""The voice of the offline pipeline: Debian's espeak-ng.

It is run as a program of its own, not loaded as a library: espeak-ng is licensed under the GPLv3,
which would extend to a process that it is linked into, and voicepod is Apache-2.0. The price is a
start of some 20 ms for each sentence, which nobody hears.
"""

import asyncio
import shutil
from typing import Never

from livekit.agents import APIConnectionError, tts
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions
from livekit.agents.utils import shortuuid

# espeak-ng writes WAV at this rate and no other: mono, 16 bit, behind a header of 44 bytes.
SAMPLE_RATE = 22050
_WAV_HEADER = 44

# Sound is passed on in pieces of 100 ms, one every 5 ms. espeak-ng is faster than that, but
# AgentSession measures the rate of the speech on its event loop: a whole sentence at once blocks
# the loop, and with it the first sound, for 100 ms.
_CHUNK = SAMPLE_RATE // 10 * 2
_PACE = 0.005

# Calm and clear; espeak-ng's own 175 words a minute are hard to follow on the phone.
_WORDS_PER_MINUTE = 150


class EspeakTTS(tts.TTS[Never]):
    """Speaks English by the espeak-ng program; raises RuntimeError if it isn't installed."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
        )
        if shutil.which("espeak-ng") is None:
            raise RuntimeError(
                "the offline pipeline speaks by espeak-ng, which isn't installed: "
                "install your distribution's package espeak-ng"
            )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Stream `text` as speech, 16 bit mono at `SAMPLE_RATE`."""
        return _EspeakStream(tts=self, input_text=text, conn_options=conn_options)


class _EspeakStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=shortuuid("espeak_"),
            sample_rate=SAMPLE_RATE,
            num_channels=1,
            mime_type="audio/pcm",
        )
        process = await asyncio.create_subprocess_exec(
            "espeak-ng", "-v", "en-us", "-s", str(_WORDS_PER_MINUTE), "--stdin", "--stdout",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(self.input_text.encode())
            process.stdin.close()
            await process.stdout.readexactly(_WAV_HEADER)
            while chunk := await process.stdout.read(_CHUNK):
                output_emitter.push(chunk)
                await asyncio.sleep(_PACE)
            if await process.wait() != 0:
                raise APIConnectionError(f"espeak-ng ended with status {process.returncode}")
        except asyncio.IncompleteReadError as error:
            raise APIConnectionError("espeak-ng wrote no sound") from error
        finally:
            # The caller interrupted, so the rest of the sentence isn't wanted any more. Not wait():
            # it would wait for somebody to empty the pipe.
            if process.returncode is None:
                process.kill()
                await process.communicate()
        output_emitter.flush()
