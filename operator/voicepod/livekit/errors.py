"""What LiveKit can answer, as exceptions.

LiveKitError
├── Unauthorized    the key or the secret is wrong; somebody has to mend them
└── Unreachable     network, time-out, 5xx, or an answer nobody expected: try again
"""


class LiveKitError(Exception):
    """LiveKit did not do what it was asked; the message names the server and why."""


class Unauthorized(LiveKitError):  # noqa: N818 - named by what LiveKit says
    """LiveKit does not accept the API key or its secret."""


class Unreachable(LiveKitError):  # noqa: N818
    """LiveKit cannot be reached, or cannot answer now."""
