"""Running programs to their end, and taking turns between several `local` commands."""

import fcntl
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError
from local.layout import BIN
from local.progress import step

TAIL_LINES = 20


def environment(added: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment with the built programs, and root's own, on the PATH."""
    path = f"{BIN}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
    return {**os.environ, "PATH": path, **(added or {})}


def run(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, data: bytes | None = None
) -> str:
    """Run a program and return its standard output.

    `env` is added to the environment, `data` is its standard input. Raises LocalError with the
    last lines of what it said when it fails.
    """
    command = [str(part) for part in argv]
    try:
        done = subprocess.run(
            command,
            env=environment(env),
            input=data,
            stdin=subprocess.DEVNULL if data is None else None,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise LocalError(f"{command[0]} is not on the PATH") from error
    if done.returncode:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise LocalError(f"`{' '.join(command)}` failed ({done.returncode}):\n{tail(said)}")
    return done.stdout.decode(errors="replace")


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Run a program and say whether it succeeded."""
    try:
        run(argv)
    except LocalError:
        return False
    return True


def tail(text: str) -> str:
    """Return the last lines of `text`, indented."""
    return "\n".join("  " + line for line in text.rstrip().splitlines()[-TAIL_LINES:])


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the lock of an existing directory; wait, and say so, while another command holds it."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("waiting for another `python -m local` to finish"):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
