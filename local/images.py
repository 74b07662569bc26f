"""The images that pods of this project run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local.layout import REPOSITORY


@dataclass(frozen=True)
class Image:
    """What an image is built from.

    A Dockerfile that begins with `ARG BASE_IMAGE=…` gets a Debian with Python in its place where
    no registry can be asked.
    """

    name: str
    dockerfile: Path
    context: Path = REPOSITORY
    arguments: Mapping[str, str] = field(default_factory=dict)


OPERATOR = Image("voicepod/operator:dev", REPOSITORY / "operator" / "Dockerfile")
AGENT = Image("voicepod/agent:dev", REPOSITORY / "agent-image" / "Dockerfile")

REDIS = Image("voicepod/redis:dev", REPOSITORY / "local" / "redis.Dockerfile")
"""For the chart's `redis`, where no registry has its image."""
