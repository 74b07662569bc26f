"""A LiveKit project as the operator and the gateway know it: URL, API key and secret."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """One key pair for one LiveKit server. The secret never shows in a repr."""

    url: str
    key: str
    secret: str = field(repr=False)
