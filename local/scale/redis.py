"""Redis, where LiveKit keeps its rooms when there are many.

By itself it looks through all of its rooms for each that is asked for, by name: among ten thousand
that is 8 ms of work, and 2 MB of garbage. Those who have as many have several servers, and these
keep their rooms in Redis.
"""

import shutil

from local.daemon import listens
from local.debian import ensure_packages
from local.scale.site import ADDRESS, PLANE, REDIS, REDIS_PORT

READY_SECONDS = 10.0

# The package of the server itself would have it run as a service of this machine.
_PACKAGES = {"redis-tools": "the store of LiveKit's rooms, at scale"}

# Debian has the server with its tools, by the name of one of them; what it is called decides what
# it does.
_BINARIES = ("redis-server", "valkey-server", "redis-check-rdb")


def start() -> str:
    """Start it; return its address. Raises LocalError when it cannot be had."""
    # Nothing is left of the rig before: what the plane's programs are is linked anew each time.
    (PLANE.bin / REDIS).symlink_to(_installed())
    PLANE.daemons.start(
        REDIS,
        *("--bind", ADDRESS, "--port", str(REDIS_PORT)),
        # It is gone with the rooms.
        *("--save", "", "--appendonly", "no"),
    )
    PLANE.daemons.wait(
        f"starting {REDIS}", lambda: listens(ADDRESS, REDIS_PORT), [REDIS], READY_SECONDS
    )
    return f"{ADDRESS}:{REDIS_PORT}"


def _installed() -> str:
    if (found := _found()) is None:
        ensure_packages(_PACKAGES)
        found = _found()
    assert found is not None, "redis-tools has redis-check-rdb"
    return found


def _found() -> str | None:
    return next(filter(None, map(shutil.which, _BINARIES)), None)
