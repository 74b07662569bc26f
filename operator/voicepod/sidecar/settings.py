"""What a sidecar is told by its environment; the operator writes all of it into the pod."""

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

_PREFIX = "VOICEPOD_"


class SettingsError(Exception):
    """Variables are missing; the text names them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is the variable of its name, as in ``VOICEPOD_POD_NAME``."""

    pod_name: str
    pod_namespace: str
    pod_uid: str
    operator_url: str
    """http://host:port, where hints go."""
    operator_public_key: str
    """Base64 of the raw Ed25519 key that assignments are verified with."""
    stop_key: str = field(repr=False)
    """What the kubelet's preStop hook shows, so that nobody else ends the call with it."""
    agent_key: str = field(repr=False)
    """What the runtime in the agent's process shows: the agent's ``LIVEKIT_API_SECRET``."""
    redis_url: str = field(default="", repr=False)
    """Where conversations outlive this pod; in memory alone if it is empty."""
    checkpoint_ttl: int = 0
    """How long they are kept there, in seconds."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Raises SettingsError when something is missing or empty."""
        values: dict[str, Any] = {}
        missing = []
        for entry in fields(cls):
            name = _PREFIX + entry.name.upper()
            if value := environment.get(name):
                values[entry.name] = value
            elif entry.default is MISSING:
                missing.append(name)
        if missing:
            raise SettingsError(f"not set: {', '.join(missing)}")
        values["checkpoint_ttl"] = int(values.get("checkpoint_ttl", 0))
        return cls(**values)
