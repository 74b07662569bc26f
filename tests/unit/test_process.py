"""A process that begins anew is the same one to whoever started it; and one that goes on."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hours import in_hours
from voicepod.kube.client import PODS
from voicepod.kube.errors import Unavailable
from voicepod.kube.follow import Versions
from voicepod.process import Listed, fill_again

pytestmark = pytest.mark.unit

# Among threads and with a connection open, as any operator is.
_PROGRAM = """
import os, pathlib, socket, sys, threading
from voicepod.process import begin_anew

file, address = pathlib.Path(sys.argv[1]), ("127.0.0.1", int(sys.argv[2]))
file.open("a").write(f"{os.getpid()}\\n")
if len(file.read_text().splitlines()) < 3:
    threading.Thread(target=threading.Event().wait).start()
    connection = socket.create_connection(address)
    threading.Thread(target=begin_anew).start()
    threading.Event().wait()
"""


def test_a_process_that_begins_anew_keeps_its_pid_and_nothing_else(tmp_path: Path) -> None:
    program, pids = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(_PROGRAM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        port = str(server.getsockname()[1])
        command = [sys.executable, str(program), str(pids), port]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, env=environment) as process:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.settimeout(30)
                    assert connection.recv(1) == b"", "the connection was kept"
            assert process.wait(30) == 0

    assert pids.read_text().splitlines() == [str(process.pid)] * 3


@in_hours
async def test_everything_is_listed_again_slowly_whether_or_not_it_could_be_the_last_time() -> None:
    pauses = []

    async def fill(pause: float) -> Versions:
        pauses.append(pause)
        if len(pauses) == 1:
            raise Unavailable("it is away")
        return {}

    listing = asyncio.create_task(fill_again(fill))
    await asyncio.sleep(3600)
    listing.cancel()

    assert len(pauses) > 1
    assert all(pause > 0 for pause in pauses)


class Lists:
    """Notes when a list began; each takes a second."""

    def __init__(self) -> None:
        self.began: list[float] = []

    async def fill(self, _: float) -> Versions:
        self.began.append(now())
        await asyncio.sleep(1)
        return {(PODS, None): str(len(self.began))}


def now() -> float:
    return asyncio.get_running_loop().time()


@in_hours
async def test_what_was_listed_since_a_moment_is_not_listed_again_for_it() -> None:
    lists = Lists()
    listed = Listed(lists.fill)
    moment = now()
    await asyncio.gather(listed.since(moment), listed.once())
    await listed.since(moment)

    assert len(lists.began) == 1


@in_hours
async def test_a_list_that_began_before_a_moment_may_lack_what_was_written_then() -> None:
    lists = Lists()
    listed = Listed(lists.fill)
    first = asyncio.create_task(listed.once())
    await asyncio.sleep(0.5)
    moment = now()
    await listed.since(moment)
    await first

    assert [began >= moment for began in lists.began] == [False, True]
    assert listed.versions == {(PODS, None): "2"}, "watches go on from the last list"
