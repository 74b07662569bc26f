"""What the Kubernetes API can answer, as exceptions.

KubeError
├── NotFound        404: the object is not there (any more)
├── Conflict        409: it is there already, or has changed under us
├── Refused         400, 403, 413, 422: trying again will not help; the message says why
└── Unavailable     network, time-out, 429, 5xx: trying again will help
"""


class KubeError(Exception):
    """The Kubernetes API did not do what it was asked; the message is its own."""


class NotFound(KubeError):  # noqa: N818 - named by what the API says
    """The object, its namespace or its kind is not there."""


class Conflict(KubeError):  # noqa: N818
    """The object is there already, or a precondition does not hold."""


class Refused(KubeError):  # noqa: N818
    """The request is invalid or forbidden and will stay so until somebody changes something."""


class Unavailable(KubeError):  # noqa: N818
    """The API cannot answer now; try again later."""


def from_status(status: int, message: str) -> KubeError:
    """Return the exception for an HTTP status of 400 or more."""
    match status:
        case 404 | 410:
            return NotFound(message)
        case 409 | 412:
            return Conflict(message)
        case 401 | 429:
            # 401: a service-account token is being rotated; the next request reads the new one.
            return Unavailable(message)
        case _ if status < 500:
            return Refused(message)
        case _:
            return Unavailable(message)
