"""The day of calls that nodes are measured with."""

import pytest

from bench.nodes import day
from bench.nodes.day import Phase

pytestmark = pytest.mark.unit

DAY = (Phase("quiet", 100, 1, 1), Phase("ramp", 1000, 1, 9), Phase("peak", 1000, 9, 9))


def test_calls_come_as_often_as_the_phase_says() -> None:
    moments = [moment for moment, _ in day.calls(DAY)]
    counts = [sum(begin <= at < end for at in moments) for begin, end in day.bounds(DAY)]

    assert counts == [
        pytest.approx(expected, rel=0.3) for expected in (100, 1000 * (1 + 9) / 2, 1000 * 9)
    ]


def test_calls_are_of_all_lengths_and_over_when_the_day_is() -> None:
    calls = day.calls(DAY)
    early = [seconds for moment, seconds in calls if moment < 1500]

    assert sum(early) / len(early) == pytest.approx(day.CALL_SECONDS, rel=0.1)
    assert all(moment + seconds <= 2100 for moment, seconds in calls)


def test_the_same_day_comes_again() -> None:
    assert day.calls(DAY) == day.calls(DAY)
