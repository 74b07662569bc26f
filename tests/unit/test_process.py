"""A process that begins anew is the same one to whoever started it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
