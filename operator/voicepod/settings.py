"""Settings of operator and gateway, from environment variables that start with ``VOICEPOD_``."""

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, HttpUrl, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voicepod.api.durations import Duration, seconds

# In seconds. Nobody waits longer before a silent telephone, and a request that is under way when
# the gateway is told to stop must be done before it does.
_MAX_TOKEN_WAIT: Final = 5.0


def _split(value: str | list[str]) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Listed = Annotated[list[str], NoDecode, BeforeValidator(_split)]
"""Parts that are separated by commas."""


class Settings(BaseSettings):
    """What operator and gateway have in common."""

    model_config = SettingsConfigDict(env_prefix="VOICEPOD_")

    namespaces: Listed = Field(
        default_factory=list,
        description="Namespaces that are watched, separated by commas; none means all.",
    )

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    port: int = Field(default=8080, ge=1, le=65535, description="The HTTP port to listen on.")


class OperatorSettings(Settings):
    """Settings of the operator."""

    namespace: str = Field(description="The operator's own namespace; its signing key lives here.")
    pod_name: str = Field(description="The operator's own pod; the Lease has this name in it.")
    pod_ip: str = Field(description="Address of that pod, at which other operators reach it.")
    lease: str = Field(
        default="voicepod-operator",
        description="Lease of the operator's namespace; whoever holds it leads.",
    )
    url: str = Field(description="URL of the operator as the sidecars reach it: http://host:port.")
    sidecar_image: str = Field(description="The image of the sidecar: the operator's own.")
    max_sessions: dict[str, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="How many sessions a namespace may have at once, as JSON: "
        '{"namespace": number}. A namespace that is not named has no limit of its own.',
    )
    signing_key_secret: str = Field(
        default="voicepod-signing-key",
        description="Secret of the operator's namespace that holds the key which assignments are "
        "signed with; made at the first start.",
    )

    @model_validator(mode="after")
    def _limits_of_what_is_watched(self) -> "OperatorSettings":
        others = sorted(set(self.max_sessions) - set(self.namespaces)) if self.namespaces else []
        if others:
            raise ValueError(f"max_sessions: {', '.join(others)} is not one of namespaces")
        return self


class GatewaySettings(Settings):
    """Settings of the gateway."""

    operator_url: str = Field(
        description="URL of the operator, which is told at once that a room has changed: "
        "http://host:port."
    )

    token_auth: Literal["", "hook", "anonymous"] = Field(
        default="",
        description="Who may have a token: nobody, whom the hook lets in, or anybody at all.",
    )
    token_hook_url: HttpUrl | None = Field(
        default=None,
        description="URL of the service that is asked whether a caller may have a token.",
    )
    token_origins: Listed = Field(
        default_factory=list,
        description="Origins of the web pages that may ask for a token, separated by commas.",
    )
    token_wait: Duration = Field(
        default="2s",
        description="How long a caller is kept waiting for the agent. With a warm pod it is in the "
        "room within half a second; a cold one takes longer than a caller should look at nothing, "
        "and may as well come while the caller connects.",
    )

    @field_validator("token_wait")
    @classmethod
    def _short(cls, value: str) -> str:
        if seconds(value) > _MAX_TOKEN_WAIT:
            raise ValueError(f"must be at most {_MAX_TOKEN_WAIT:.0f}s")
        return value

    @model_validator(mode="after")
    def _hook_has_url(self) -> "GatewaySettings":
        if (self.token_auth == "hook") != (self.token_hook_url is not None):
            raise ValueError("token_auth=hook and token_hook_url belong together")
        return self
