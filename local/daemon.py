"""Background processes that nobody supervises: started once, found again by their pid files.

A pid file holds the pid and the start time of its process: a pid that was given to another program
since is not ours, and is never signalled.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from local.errors import LocalError
from local.layout import STATE
from local.progress import step
from local.run import environment, tail

RUN = STATE / "run"
LOGS = STATE / "log"

POLL_SECONDS = 0.05
# A process that ignores SIGKILL for this long hangs in the kernel: nothing more can be done.
KILL_SECONDS = 10.0


def start(program: str, *arguments: str) -> None:
    """Start a program detached from this process, unless it runs; its output goes to its log.

    It gets none of this process's environment (proxies, locale, tokens) but the PATH.
    """
    if alive(program):
        return
    RUN.mkdir(parents=True, exist_ok=True)
    LOGS.mkdir(parents=True, exist_ok=True)
    path = environment()["PATH"]
    executable = shutil.which(program, path=path)
    if executable is None:
        raise LocalError(f"{program} is not on the PATH ({path})")
    # What this process inherited may be a lock that its parent lets go when it ends.
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2:
            with contextlib.suppress(OSError):  # The one that listed them is closed by now.
                os.set_inheritable(descriptor, False)
    # Not subprocess.Popen: that warns when its owner goes and the process stays, which is the
    # point here.
    pid = os.posix_spawn(
        executable,
        [program, *arguments],
        {"PATH": path, "HOME": "/root"},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log(program), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    _pid_file(program).write_text(json.dumps({"pid": pid, "started": started_at(pid)}))


def alive(name: str) -> bool:
    """Say whether the process that was started under this name still runs."""
    return _pid(name) is not None


def names() -> list[str]:
    """Return the names of all processes that were ever started."""
    return sorted(path.stem for path in RUN.glob("*.json"))


def log(name: str) -> Path:
    """Return the path of a process's log."""
    return LOGS / f"{name}.log"


def stop(names: Iterable[str], grace: float) -> None:
    """End processes by SIGTERM, after `grace` seconds by SIGKILL; those that are gone are fine."""
    left = list(names)
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        for name in left:
            if pid := _pid(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        deadline = time.monotonic() + patience
        while (left := [name for name in left if alive(name)]) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    if left:
        raise LocalError(f"{', '.join(left)}: not ended, not even by SIGKILL")


def wait(what: str, ready: Callable[[], bool], needs: Sequence[str], seconds: float) -> None:
    """Wait until `ready()`.

    Raises LocalError with the end of the log of the process that is to blame: one of `needs` that
    died, or the last of them when `seconds` are over.
    """
    with step(what):
        deadline = time.monotonic() + seconds
        while not ready():
            for name in needs:
                if not alive(name):
                    raise LocalError(f"{what}: {name} died.{_end_of_log(name)}")
            if time.monotonic() > deadline:
                raise LocalError(f"{what}: not in {seconds:.0f} s.{_end_of_log(needs[-1])}")
            time.sleep(POLL_SECONDS)


def started_at(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The fields after the parenthesised name, which itself may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def _pid(name: str) -> int | None:
    try:
        noted = json.loads(_pid_file(name).read_text())
    except FileNotFoundError:
        return None
    pid: int = noted["pid"]
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # it may be a child of this very process: leave no zombie
    started = started_at(pid)
    # None was noted of a process that died before it could be looked at.
    return pid if started is not None and started == noted["started"] else None


def _pid_file(name: str) -> Path:
    return RUN / f"{name}.json"


def _end_of_log(name: str) -> str:
    path = log(name)
    said = path.read_text(errors="replace") if path.exists() else ""
    return f" The end of {path}:\n{tail(said)}"
