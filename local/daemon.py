"""Background processes that nobody supervises: started once, found again by their pid files.

A pid file holds the pid and the start time of its process: a pid that was given to another program
since is not ours, and is never signalled.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.progress import step
from local.run import environment, tail

POLL_SECONDS = 0.05
# A process that ignores SIGKILL for this long hangs in the kernel: nothing more can be done.
KILL_SECONDS = 10.0


@dataclass(frozen=True)
class Daemons:
    """The background processes whose pid files and logs are in one state directory."""

    state: Path

    def start(
        self,
        program: str,
        *arguments: str,
        name: str = "",
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start a program detached from this process, unless it runs; its output goes to its log.

        It is known by `name`, which is the program's if there is only one of it. It gets none of
        this process's environment (proxies, locale, tokens) but the PATH, and `env`.
        """
        name = name or program
        if self.alive(name):
            return
        for directory in (self._pid_file(name).parent, self.log(name).parent):
            directory.mkdir(parents=True, exist_ok=True)
        path = f"{self.state / 'bin'}:{environment()['PATH']}"
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
            "/usr/bin/env",
            # Not where its starter happened to be: that may be gone, or stopped, long before it.
            ["env", "--chdir=/", executable, *arguments],
            {"PATH": path, "HOME": "/root", **(env or {})},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (
                    os.POSIX_SPAWN_OPEN,
                    1,
                    self.log(name),
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o600,
                ),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
        self._pid_file(name).write_text(json.dumps({"pid": pid, "started": started_at(pid)}))

    def alive(self, name: str) -> bool:
        """Say whether the process that was started under this name still runs."""
        return self.pid(name) is not None

    def pid(self, name: str) -> int | None:
        """Return the pid of the process that was started under this name; None if it ended."""
        try:
            noted = json.loads(self._pid_file(name).read_text())
        except FileNotFoundError:
            return None
        pid: int = noted["pid"]
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # it may be a child of this very process: leave no zombie
        started = started_at(pid)
        # None was noted of a process that died before it could be looked at.
        return pid if started is not None and started == noted["started"] else None

    def names(self) -> list[str]:
        """Return the names of all processes that were ever started."""
        return sorted(path.stem for path in (self.state / "run").glob("*.json"))

    def log(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.state / "log" / f"{name}.log"

    def give_way(self, name: str, niceness: int) -> None:
        """Have a process that runs, with all its threads, leave the processors to others first.

        The more, the higher the `niceness`, as nice(1) has it.
        """
        pid = self.pid(name)
        assert pid is not None, f"{name} runs"
        # A thread that begins meanwhile takes after the one that begins it.
        for _ in range(2):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), niceness)

    def stop(self, names: Iterable[str], grace: float) -> None:
        """End processes by SIGTERM, after `grace` seconds by SIGKILL; what is gone is fine."""
        left = list(names)
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
            for name in left:
                if pid := self.pid(name):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
            deadline = time.monotonic() + patience
            while (
                left := [name for name in left if self.alive(name)]
            ) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
        if left:
            raise LocalError(f"{', '.join(left)}: not ended, not even by SIGKILL")

    def wait(
        self, what: str, ready: Callable[[], bool], needs: Sequence[str], seconds: float
    ) -> None:
        """Wait until `ready()`.

        Raises LocalError with the end of the log of the process that is to blame: one of `needs`
        that died, or the last of them when `seconds` are over.
        """
        with step(what):
            deadline = time.monotonic() + seconds
            while not ready():
                for name in needs:
                    if not self.alive(name):
                        raise LocalError(f"{what}: {name} died.{self.end_of_log(name)}")
                if time.monotonic() > deadline:
                    raise LocalError(f"{what}: not in {seconds:.0f} s.{self.end_of_log(needs[-1])}")
                time.sleep(POLL_SECONDS)

    def _pid_file(self, name: str) -> Path:
        return self.state / "run" / f"{name}.json"

    def end_of_log(self, name: str) -> str:
        """Return the last words of a process, for the end of a message."""
        path = self.log(name)
        said = path.read_text(errors="replace") if path.exists() else ""
        return f" The end of {path}:\n{tail(said)}"


def listens(address: str, port: int) -> bool:
    """Say whether somebody accepts connections there."""
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def started_at(pid: int) -> int | None:
    """Return when a process started, in ticks since boot; None when it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The fields after the parenthesised name, which itself may hold spaces and parentheses.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])
