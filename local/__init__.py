"""A real one-node Kubernetes and a LiveKit server on this machine, for demo, tests and benches.

`up()` starts them (or finds them running) and says how to reach them, `build()` makes an image
that their pods can use, `down()` takes everything away. As a command: `python -m local`.
"""

from local.cluster import Cluster
from local.errors import LocalError
from local.images import AGENT, OPERATOR, REDIS, Image
from local.provider import build, down, find, up

__all__ = [
    "AGENT",
    "OPERATOR",
    "REDIS",
    "Cluster",
    "Image",
    "LocalError",
    "build",
    "down",
    "find",
    "up",
]
