"""A sidecar runs in every pod: what it loads is paid for as often as there are calls."""

import subprocess
import sys
from pathlib import Path

import pytest

import voicepod

pytestmark = pytest.mark.unit

# Loads all that a sidecar has loaded at the end of a call; its own few objects are within 1 MB.
_PROGRAM = """
import sys
import voicepod.sidecar.app
print(*sorted(sys.modules))
for line in open("/proc/self/smaps_rollup"):
    if line.startswith("Anonymous:"):
        print(line.split()[1])
"""


@pytest.fixture(scope="module")
def loaded() -> tuple[set[str], int]:
    """The modules of a sidecar, and its anonymous memory in kB."""
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(voicepod.__file__).parents[1])},
    )
    modules, memory = run.stdout.splitlines()
    return set(modules.split()), int(memory)


def test_the_sidecar_stays_within_forty_megabytes(loaded: tuple[set[str], int]) -> None:
    assert loaded[1] < 39_000


@pytest.mark.parametrize(
    "module",
    ["pydantic", "kubernetes", "kopf", "structlog", "redis", "livekit.api", "livekit.protocol.sip"],
)
def test_the_sidecar_does_not_load(module: str, loaded: tuple[set[str], int]) -> None:
    assert module not in loaded[0]
