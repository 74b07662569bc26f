"""``voicepod plan`` on the command line, and in the documentation."""

import json
import shlex
import sys

import pytest
from typer.testing import CliRunner, Result

from local.layout import REPOSITORY
from voicepod import main as command
from voicepod.plan.cli import app

pytestmark = pytest.mark.unit

OPTIONS = [
    *("--calls-per-hour", "120", "--node-cpu", "4", "--node-memory", "16Gi", "--node-price", "0.2")
]
DOCS = (REPOSITORY / "docs" / "cost.md").read_text()


def planned(*options: str) -> Result:
    # As wide as the documentation's lines.
    return CliRunner(env={"COLUMNS": "110"}).invoke(app, options, prog_name="voicepod plan")


def test_the_example_of_the_documentation_is_what_is_printed() -> None:
    example = DOCS.split("```console\n$ voicepod plan ")[1].split("\n```")[0]
    typed, printed = example.replace("\\\n", " ").split("\n", 1)
    result = planned(*shlex.split(typed))

    assert result.exit_code == 0
    assert [line.rstrip() for line in result.output.splitlines()] == printed.splitlines()


def test_json_has_the_whole_plan() -> None:
    result = json.loads(planned(*OPTIONS, "--json").output)

    assert result["calls"] == 2880
    assert len(result["pods"]["hours"]) == 24
    assert result["pods"]["nodes"]["a_minute"] > 0
    assert result["shared"]["worker"]["calls"] > 1


def test_a_day_of_one_rate_is_not_shown_by_its_hours() -> None:
    assert "Hour" not in planned(*OPTIONS).output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--call", "4"], "Invalid value for --call: '4' is not a duration such as 30s"),
        (["--pod-memory", "x"], "Invalid value for --pod-memory: 'x' is no amount"),
        (["--calls-per-hour", "0"], "no calls come: give one hour at least more than 0"),
        (["--pod-cpu", "5"], "a pod does not fit on a node: it asks for 5010m CPU"),
    ],
)
def test_what_cannot_be_planned_is_refused_where_it_stands(
    options: list[str], sentence: str
) -> None:
    result = planned(*OPTIONS, *options)

    assert result.exit_code == 2
    assert sentence in " ".join(result.output.replace("│", " ").split())


def test_the_image_has_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["voicepod", "plan", *OPTIONS, "--json"])

    with pytest.raises(SystemExit) as exit_:
        command.main()

    assert exit_.value.code == 0
    assert json.loads(capsys.readouterr().out)["calls"] == 2880
