"""A LiveKit project as the operator and the gateway know it: URL, API key and secret."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """One key pair for one LiveKit server. The secret never shows in a repr."""

    url: str
    key: str
    secret: str = field(repr=False)

    def same_key_as(self, other: "Credentials") -> bool:
        """Whether both are one key pair; a webhook is signed by a key, and names no server."""
        return (self.key, self.secret) == (other.key, other.secret)
