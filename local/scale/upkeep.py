"""Whoever starts the operator again when its process has ended, as the kubelet does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from local.scale.site import PLANE

# What the operator may take to finish what it has in hand.
GRACE_SECONDS = 20.0

# The kubelet is told by the runtime; a tenth of a second is what it takes to start a container.
_LOOK_EVERY = 0.1


class Upkeep:
    """Keeps the operator running, by `start`, while it is `on`."""

    def __init__(self, start: Callable[[], None]) -> None:
        self.starts = 0
        """How often it was started, the first time included."""
        self._start = start
        self._wanted = True
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def on(self) -> Iterator["Upkeep"]:
        """Keep it running while the body runs; nobody ends it then."""
        self._look()
        self._thread.start()
        try:
            yield self
        finally:
            self._over.set()
            self._thread.join()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Have the operator stopped while the body runs."""
        with self._lock:
            self._wanted = False
            PLANE.daemons.stop(["operator"], GRACE_SECONDS)
        yield
        with self._lock:
            self._wanted = True
            self._look()

    def _run(self) -> None:
        while not self._over.is_set():
            with self._lock:
                self._look()
            time.sleep(_LOOK_EVERY)

    def _look(self) -> None:
        if self._wanted and not PLANE.daemons.alive("operator"):
            self._start()
            self.starts += 1
