"""How each of these programs runs in a terminal."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from local.errors import LocalError
from local.progress import console

T = TypeVar("T")


@contextmanager
def plainly() -> Iterator[None]:
    """Have the body end as people expect it.

    Ends the process with 1 and a sentence on a LocalError, and with 130 when it is interrupted.
    """
    # What was begun is taken down then, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except LocalError as error:
        console.print(f"error: {error}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted")
        sys.exit(130)


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Make the coroutine, run it plainly, and return what it returns."""
    with plainly():
        return asyncio.run(work())
