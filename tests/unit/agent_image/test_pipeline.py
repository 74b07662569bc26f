from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from voicepod_agent.offline.llm import ReceptionistLLM
from voicepod_agent.offline.stt import SphinxSTT
from voicepod_agent.offline.tts import EspeakTTS
from voicepod_agent.pipeline import load_pipeline
from voicepod_agent.settings import Settings

pytestmark = pytest.mark.unit

KEY = "LIVEKIT_INFERENCE_API_KEY"
SECRET = "LIVEKIT_INFERENCE_API_SECRET"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv(SECRET, raising=False)
    load_pipeline.cache_clear()
    yield
    load_pipeline.cache_clear()


@pytest.fixture
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "key")
    monkeypatch.setenv(SECRET, "secret")


def test_without_keys_the_pipeline_is_offline(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "voicepod.agent"):
        pipeline = load_pipeline(Settings())

    assert pipeline.name == "offline"
    assert isinstance(pipeline.stt, SphinxSTT)
    assert isinstance(pipeline.llm, ReceptionistLLM)
    assert isinstance(pipeline.tts, EspeakTTS)
    assert f"offline, as {KEY} and _SECRET are not set" in caplog.text


@pytest.mark.usefixtures("_keys")
def test_with_keys_the_pipeline_is_livekit_inference(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "voicepod.agent"):
        pipeline = load_pipeline(Settings())

    assert pipeline.name == "inference"
    assert pipeline.stt == "deepgram/nova-3:en"
    assert pipeline.llm == "openai/gpt-4o-mini"
    assert pipeline.tts == "rime/mistv2:courtney"
    assert "as its keys are given" in caplog.text


@pytest.mark.usefixtures("_keys")
def test_the_models_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_LLM", "openai/gpt-4.1")

    assert load_pipeline(Settings()).llm == "openai/gpt-4.1"


def test_the_keys_of_the_sidecar_are_not_taken_for_those_of_livekit_inference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIVEKIT_API_KEY", "voicepod")
    monkeypatch.setenv("LIVEKIT_API_SECRET", "dummy")

    assert load_pipeline(Settings()).name == "offline"


@pytest.mark.parametrize("given", [KEY, SECRET])
def test_half_a_pair_of_keys_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv(given, "something")

    with pytest.raises(ValidationError, match="go together"):
        Settings()


def test_the_models_are_loaded_once() -> None:
    assert load_pipeline(Settings()) is load_pipeline(Settings())
