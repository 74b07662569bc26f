"""The figures of the benches: percentiles, and the file that they are written to."""

import json
import math
from pathlib import Path

import pytest

from bench import figures
from bench.claim.result import max_rate
from bench.figures import Summary, percentile
from local.errors import LocalError

pytestmark = pytest.mark.unit


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.5
    assert percentile(range(101), 99) == 99.0


def test_a_summary_has_the_number_of_values_and_the_largest() -> None:
    summed = Summary.of([5.0, 1.0, 3.0])
    assert (summed.n, summed.p50, summed.max) == (3, 3.0, 5.0)


def test_of_nothing_nothing_is_claimed() -> None:
    summed = Summary.of([])
    assert summed.n == 0
    assert math.isnan(summed.p50)
    assert math.isnan(summed.max)


def test_the_file_has_the_figures_and_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path / "out")
    path = figures.write("probe", {"ways": {"one": Summary.of([2.0]), "none": Summary.of([])}})
    written = json.loads(path.read_text())
    assert written["ways"]["one"] == {"n": 1, "p50": 2.0, "p90": 2.0, "p99": 2.0, "max": 2.0}
    assert written["ways"]["none"] == {"n": 0, "p50": None, "p90": None, "p99": None, "max": None}
    assert written["machine"]["cpus"] > 0
    assert written["machine"]["versions"]["kubernetes"].startswith("v1.")


def test_what_was_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path / "out")
    figures.write("probe", {"rate": 5.0})
    assert figures.read("probe")["rate"] == 5.0


def test_a_bench_that_was_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path / "out")
    with pytest.raises(LocalError, match="run `make bench-claim` first"):
        max_rate()


def test_where_no_rate_was_kept_up_with_there_is_none_to_halve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "OUT", tmp_path / "out")
    figures.write("claim", {"max_rate": 10.0})
    assert max_rate() == 10.0
    figures.write("claim", {"max_rate": 0.0})
    with pytest.raises(LocalError, match="no rate that this machine keeps up with"):
        max_rate()
