"""Telling what is going on: whatever takes longer than a second says what it is, and how long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

# On stderr: the standard output of `python -m local env` is for the shell.
console = Console(stderr=True, highlight=False, soft_wrap=True)

QUIET_SECONDS = 1.0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show `what` and its running time while the body runs; leave a line if it took a while."""
    started = time.monotonic()
    if console.is_terminal:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            bar.add_task(what, total=None)
            yield
    else:
        announce = threading.Timer(QUIET_SECONDS, console.print, [f"{what} …"])
        announce.daemon = True
        announce.start()
        try:
            yield
        finally:
            announce.cancel()
    elapsed = time.monotonic() - started
    if elapsed > QUIET_SECONDS:
        console.print(f"{what}: {elapsed:.1f} s")
