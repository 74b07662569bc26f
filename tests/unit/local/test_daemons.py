"""Background processes: found again by their pid files, and never confused with others."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import daemon
from local.errors import LocalError

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(daemon, "RUN", tmp_path / "run")
    monkeypatch.setattr(daemon, "LOGS", tmp_path / "log")
    yield tmp_path
    daemon.stop(daemon.names(), grace=0)


def test_a_second_start_leaves_the_first_process_alone() -> None:
    daemon.start("sleep", "60")
    noted = (daemon.RUN / "sleep.json").read_text()
    daemon.start("sleep", "60")
    assert (daemon.RUN / "sleep.json").read_text() == noted
    assert daemon.alive("sleep")


def test_a_stopped_process_is_gone_and_may_be_started_again() -> None:
    daemon.start("sleep", "60")
    daemon.stop(["sleep"], grace=10)
    assert not daemon.alive("sleep")
    daemon.start("sleep", "60")
    assert daemon.alive("sleep")


def test_what_this_process_inherited_is_not_handed_on() -> None:
    inherited, other_end = os.pipe()
    os.set_inheritable(inherited, True)
    daemon.start("sleep", "60")
    pid = json.loads((daemon.RUN / "sleep.json").read_text())["pid"]
    held = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    pipe = os.readlink(f"/proc/self/fd/{inherited}")
    os.close(inherited)
    os.close(other_end)
    assert pipe not in held


def test_one_that_ignores_sigterm_is_killed() -> None:
    daemon.start("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
    daemon.wait("shell", lambda: "ready" in daemon.log("sh").read_text(), ["sh"], seconds=10)
    daemon.stop(["sh"], grace=0)
    assert not daemon.alive("sh")


def test_a_pid_that_was_given_to_another_process_is_not_ours() -> None:
    daemon.RUN.mkdir()
    (daemon.RUN / "etcd.json").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert not daemon.alive("etcd")
    daemon.stop(["etcd"], grace=0)  # would end this very process


def test_waiting_for_a_process_that_dies_tells_its_last_words() -> None:
    daemon.start("sh", "-c", "echo the disk is full; exit 1")
    with pytest.raises(LocalError, match=r"sh died(?s:.*)the disk is full"):
        daemon.wait("starting sh", lambda: False, ["sh"], seconds=60)
