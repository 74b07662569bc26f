"""Background processes: found again by their pid files, and never confused with others."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.daemon import Daemons
from local.errors import LocalError

pytestmark = pytest.mark.unit


@pytest.fixture
def daemons(tmp_path: Path) -> Iterator[Daemons]:
    daemons = Daemons(tmp_path)
    yield daemons
    daemons.stop(daemons.names(), grace=0)


def test_a_second_start_leaves_the_first_process_alone(daemons: Daemons) -> None:
    daemons.start("sleep", "60")
    noted = (daemons.state / "run" / "sleep.json").read_text()
    daemons.start("sleep", "60")
    assert (daemons.state / "run" / "sleep.json").read_text() == noted
    assert daemons.alive("sleep")


def test_a_stopped_process_is_gone_and_may_be_started_again(daemons: Daemons) -> None:
    daemons.start("sleep", "60")
    daemons.stop(["sleep"], grace=10)
    assert not daemons.alive("sleep")
    daemons.start("sleep", "60")
    assert daemons.alive("sleep")


def test_what_this_process_inherited_is_not_handed_on(daemons: Daemons) -> None:
    inherited, other_end = os.pipe()
    os.set_inheritable(inherited, True)
    daemons.start("sleep", "60")
    held = set()
    for path in Path(f"/proc/{daemons.pid('sleep')}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a library, closed by now
            held.add(os.readlink(path))
    pipe = os.readlink(f"/proc/self/fd/{inherited}")
    os.close(inherited)
    os.close(other_end)
    assert pipe not in held


def test_one_that_gives_way_does_so_with_all_its_threads(daemons: Daemons) -> None:
    begins = "threading.Thread(target=time.sleep, args=[60]).start()"
    daemons.start(
        sys.executable,
        *("-uc", f"import threading, time; {begins}; print('ready')"),
        name="threads",
    )
    log = daemons.log("threads")
    daemons.wait("threads", lambda: "ready" in log.read_text(), ["threads"], seconds=10)
    daemons.give_way("threads", 5)
    threads = [int(one.name) for one in Path(f"/proc/{daemons.pid('threads')}/task").iterdir()]
    assert len(threads) > 1
    assert {os.getpriority(os.PRIO_PROCESS, one) for one in threads} == {5}


def test_one_that_ignores_sigterm_is_killed(daemons: Daemons) -> None:
    daemons.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    daemons.wait("shell", lambda: "ready" in daemons.log("sh").read_text(), ["sh"], seconds=10)
    daemons.stop(["sh"], grace=0)
    assert not daemons.alive("sh")


def test_a_pid_that_was_given_to_another_process_is_not_ours(daemons: Daemons) -> None:
    (daemons.state / "run").mkdir()
    (daemons.state / "run" / "etcd.json").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert not daemons.alive("etcd")
    daemons.stop(["etcd"], grace=0)  # would end this very process


def test_waiting_for_a_process_that_dies_tells_its_last_words(daemons: Daemons) -> None:
    daemons.start("sh", "-c", "echo the disk is full; exit 1")
    with pytest.raises(LocalError, match=r"sh died(?s:.*)the disk is full"):
        daemons.wait("starting sh", lambda: False, ["sh"], seconds=60)
