"""Settings of the default agent, from environment variables."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from ``AGENT_<FIELD>``; the two keys from the names that LiveKit gives them."""

    model_config = SettingsConfigDict(env_prefix="AGENT_", env_ignore_empty=True, frozen=True)

    stt: str = Field(default="deepgram/nova-3:en", description="LiveKit Inference model.")
    llm: str = Field(default="openai/gpt-4o-mini", description="LiveKit Inference model.")
    tts: str = Field(
        default="rime/mistv2:courtney", description="LiveKit Inference model and voice."
    )
    instructions: str = Field(
        default="You are a friendly voice assistant. Answer in one or two short sentences, "
        "in plain words that are meant to be spoken.",
        description="What the language model is told about its role.",
    )
    greeting: str = Field(
        default="Greet the caller and offer your help.",
        description="What the language model is told to open the call with.",
    )
    goodbye: str = Field(
        default="I have to hang up now. Goodbye!",
        description="Spoken when the call is ended while the caller is still there.",
    )

    # Not LIVEKIT_API_KEY and LIVEKIT_API_SECRET: in a voicepod pod those open nothing but the
    # sidecar next to the agent.
    inference_api_key: SecretStr | None = Field(
        default=None, validation_alias="LIVEKIT_INFERENCE_API_KEY"
    )
    inference_api_secret: SecretStr | None = Field(
        default=None, validation_alias="LIVEKIT_INFERENCE_API_SECRET"
    )

    @model_validator(mode="after")
    def _both_keys_or_none(self) -> Self:
        if (self.inference_api_key is None) != (self.inference_api_secret is None):
            raise ValueError(
                "LIVEKIT_INFERENCE_API_KEY and LIVEKIT_INFERENCE_API_SECRET go together: "
                "set both, or none for the offline pipeline"
            )
        return self

    @property
    def has_inference_keys(self) -> bool:
        """Whether LiveKit Inference can be used."""
        return self.inference_api_key is not None
