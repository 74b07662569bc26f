"""Settings of operator and gateway, from environment variables that start with ``VOICEPOD_``."""

from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """What operator and gateway have in common."""

    model_config = SettingsConfigDict(env_prefix="VOICEPOD_")

    namespaces: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Namespaces that are watched, separated by commas; none means all.",
    )

    @field_validator("namespaces", mode="before")
    @classmethod
    def _split(cls, value: str | list[str]) -> list[str]:
        if isinstance(value, str):
            return [name.strip() for name in value.split(",") if name.strip()]
        return value

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    port: int = Field(default=8080, ge=1, le=65535, description="The HTTP port to listen on.")


class OperatorSettings(Settings):
    """Settings of the operator."""

    namespace: str = Field(description="The operator's own namespace; its signing key lives here.")
    url: str = Field(description="URL of the operator as the sidecars reach it: http://host:port.")
    sidecar_image: str = Field(description="The image of the sidecar: the operator's own.")
    signing_key_secret: str = Field(
        default="voicepod-signing-key",
        description="Secret of the operator's namespace that holds the key which assignments are "
        "signed with; made at the first start.",
    )


class GatewaySettings(Settings):
    """Settings of the gateway."""
