"""What the kernel is asked of processes."""

import os
import subprocess
import sys

import pytest

from bench import usage
from bench.usage import Memory, cpu_seconds, first_process, processes
from local.errors import LocalError

pytestmark = pytest.mark.unit


@pytest.fixture
def gone() -> int:
    """Return the pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_anonymous_memory_is_a_part_of_all_of_it(gone: int) -> None:
    used = Memory.of([os.getpid(), gone])
    assert 0 < used.anon < used.pss


def test_what_is_gone_uses_nothing(gone: int) -> None:
    assert Memory.of([gone]) == Memory(0, 0)
    assert cpu_seconds([gone]) == 0


def test_cpu_time_grows_with_work() -> None:
    before = cpu_seconds([os.getpid()])
    while cpu_seconds([os.getpid()]) == before:
        sum(range(10_000))


def test_no_process_belongs_to_a_pod_that_is_not_here() -> None:
    pod = {
        "metadata": {"uid": "7f5e2b6c-0000-4000-8000-000000000000"},
        "status": {"containerStatuses": [{"name": "agent", "containerID": "containerd://abc"}]},
    }
    assert processes(pod) == {}


def test_the_first_process_of_a_container_is_its_number_one(
    monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    names = {71: "NSpid:\t71\t11\n", 72: "NSpid:\t72\t1\n", gone: ""}
    monkeypatch.setattr(usage, "_read", lambda pid, _: names[pid])
    assert first_process([gone, 71, 72]) == 72
    with pytest.raises(LocalError, match="has ended"):
        first_process([gone, 71])
