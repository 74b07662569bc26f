"""The one place that decides what the agent hears, thinks and speaks with."""

import functools
import logging
from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import inference, llm, stt, tts, vad

from voicepod_agent.offline.llm import ReceptionistLLM
from voicepod_agent.offline.stt import SphinxSTT
from voicepod_agent.offline.tts import EspeakTTS
from voicepod_agent.settings import Settings

logger = logging.getLogger("voicepod.agent")


@dataclass(frozen=True)
class Pipeline:
    """Arguments of the same names for AgentSession; a string names a LiveKit Inference model."""

    name: Literal["inference", "offline"]
    stt: stt.STT[Any] | str
    llm: llm.LLM[Any] | str
    tts: tts.TTS[Any] | str
    vad: vad.VAD


# Kept for the whole process: the worker prepares an idle executor anew for every job that it
# starts, and a second set of models would only be paid for.
@functools.cache
def load_pipeline(settings: Settings) -> Pipeline:
    """Choose the pipeline, load its models, and log what was chosen and why.

    Raises RuntimeError when the offline pipeline is chosen and espeak-ng isn't installed.
    """
    # Silero runs in this process for both: 2 MB, and no service to ask.
    voice_activity = inference.VAD(model="silero")
    if settings.has_inference_keys:
        logger.info("pipeline: LiveKit Inference, as its keys are given")
        return Pipeline("inference", settings.stt, settings.llm, settings.tts, voice_activity)
    logger.info("pipeline: offline, as LIVEKIT_INFERENCE_API_KEY and _SECRET are not set")
    return Pipeline("offline", SphinxSTT(), ReceptionistLLM(), EspeakTTS(), voice_activity)
