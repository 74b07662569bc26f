"""What can go wrong between operator and pod.

::

    AssignmentError
    ├── MessageError        a message has not the agreed shape; names the field
    ├── TokenError          a signed message is forged, expired or meant for another pod or act
    └── PodError            what the operator sees
        ├── PodUnreachable  no usable answer: the same call may be tried again
        └── PodRefused      the pod said no; ``reason`` tells whether to wait or to give it up
"""


class AssignmentError(Exception):
    """Any of the errors of this package."""


class MessageError(AssignmentError):
    """A message has not the agreed shape; the text names the field."""


class TokenError(AssignmentError):
    """A signed message is not to be trusted; the text says why."""


class PodError(AssignmentError):
    """A pod did not do what it was asked to."""


class PodUnreachable(PodError):  # noqa: N818 - named by what the pod is
    """No usable answer came; asking again is safe, as every act is idempotent."""


class PodRefused(PodError):  # noqa: N818 - named by what the pod did
    """The pod said no."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        """One of ``messages.RefusalReason``, or a word that a later sidecar uses."""
        self.message = message
        """A sentence for people."""
