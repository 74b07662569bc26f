"""The image's command: which process is run, and what a mistake is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from voicepod import main as command

pytestmark = pytest.mark.unit

OPERATOR = Path(__file__).parents[2] / "operator"


@pytest.mark.parametrize("arguments", [[], ["pod"], ["operator", "gateway"], ["--help"]])
def test_a_process_that_does_not_exist_is_answered_with_those_that_do(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["voicepod", *arguments])

    with pytest.raises(SystemExit) as exit_:
        command.main()

    assert exit_.value.code == "usage: voicepod operator | gateway | sidecar | plan"


@pytest.mark.parametrize(
    ("process", "module"),
    [
        ("operator", "voicepod.operator"),
        ("gateway", "voicepod.gateway.app"),
        ("sidecar", "voicepod.sidecar.app"),
    ],
)
def test_the_first_argument_names_the_process(
    process: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    async def run(*_: object) -> None:
        ran.append(process)

    monkeypatch.setattr(f"{module}.run", run)
    monkeypatch.setattr(command, "_keep_what_is_loaded", lambda: None)
    monkeypatch.setenv("VOICEPOD_OPERATOR_URL", "http://operator")
    monkeypatch.setattr(sys, "argv", ["voicepod", process])

    command.main()

    assert ran == [process]


def test_the_command_loads_none_of_its_processes_by_itself() -> None:
    code = (
        "import sys, voicepod.main;"
        "print([m for m in ('kopf', 'pydantic', 'uvloop', 'aiohttp') if m in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(OPERATOR)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert said.strip() == "[]"
