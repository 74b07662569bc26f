"""How many calls are on at once."""

import pytest

from tests.unit.plan.days import OFFICE
from voicepod.plan.load import growth, highest, loads

pytestmark = pytest.mark.unit


def test_at_one_rate_as_many_are_on_as_come_during_one_call() -> None:
    for load in loads((120.0,) * 24, 300.0):
        assert load.level == load.mean == load.top == pytest.approx(10)


@pytest.mark.parametrize("holding", [30.0, 252.0, 7200.0])
def test_every_call_of_the_day_is_on_for_its_length(holding: float) -> None:
    seconds = sum(load.mean for load in loads(OFFICE, holding)) * 3600

    assert seconds == pytest.approx(sum(OFFICE) * holding)


def test_calls_of_a_busy_hour_last_into_the_quiet_one_after_it() -> None:
    day = loads((600.0, *[0.0] * 23), 1800.0)

    assert day[1].level == 0
    assert day[0].top == day[1].top > day[1].mean > day[2].mean > 0


def test_the_highest_of_a_moment_is_the_mean_and_it_is_more_the_longer_one_looks() -> None:
    assert highest(50.0, 240.0, 0.0) == 50
    assert 50 < highest(50.0, 240.0, 60.0) < highest(50.0, 240.0, 600.0)


def test_calls_grow_by_chance_and_by_the_days_steepest_hour() -> None:
    flat, steep = loads((100.0,) * 24, 240.0), loads((*[0.0] * 12, *[100.0] * 12), 240.0)

    assert growth(flat, 240.0, 0.0) == 0
    assert 0 < growth(flat, 240.0, 60.0) < growth(steep, 240.0, 60.0)
    assert growth(flat, 240.0, 60.0) < growth(flat, 240.0, 600.0)
