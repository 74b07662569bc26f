"""How many pods should wait, from the calls that came and the pods that started."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reconcile.scenes import at
from voicepod.api.agent import Pool, VoiceAgentStatus
from voicepod.reconcile.demand import Demand

pytestmark = pytest.mark.unit

WIDE = Pool(min=1, max=100)


def after_calls(seconds: int, each_second: int, refill: float = 3.0) -> tuple[Demand, datetime]:
    """Calls that come evenly, and pods that take ``refill`` seconds."""
    demand = Demand()
    demand.refilled(refill)
    for second in range(seconds):
        for _ in range(each_second):
            demand.arrived(at(second))
    return demand, at(seconds - 1)


def test_nobody_has_called_and_the_least_waits() -> None:
    assert Demand().wanted(WIDE, at(0)) == 1
    assert Demand().wanted(Pool(), at(0)) == 0


def test_as_many_wait_as_calls_come_while_a_pod_starts_and_a_margin() -> None:
    demand, now = after_calls(600, each_second=5)

    assert demand.rate(now) == 5
    # 15 on the average, and 3.09 times their square root.
    assert demand.wanted(WIDE, now) == 27


def test_a_burst_is_answered_within_its_first_seconds() -> None:
    demand, now = after_calls(3, each_second=10)

    assert demand.rate(now) == 2
    assert demand.wanted(WIDE, now) == 14


def test_the_pool_never_leaves_its_bounds() -> None:
    demand, now = after_calls(60, each_second=50)

    assert demand.wanted(Pool(min=2, max=20), now) == 20
    assert demand.wanted(Pool(min=2), now) == 4


def test_calls_that_stop_let_the_pool_shrink_by_a_tenth_each_half_minute() -> None:
    demand, now = after_calls(60, each_second=5)
    before = demand.wanted(WIDE, now)

    sizes = [demand.wanted(WIDE, now + timedelta(minutes=6, seconds=30 * n)) for n in range(40)]

    assert sizes[0] == before - before // 10
    assert sizes == sorted(sizes, reverse=True)
    assert max(a - b for a, b in pairwise(sizes)) <= before // 10
    assert sizes[-1] == 1


def test_bounds_that_are_changed_count_at_once() -> None:
    demand = Demand()
    assert demand.wanted(Pool(min=8), at(0)) == 8

    assert demand.wanted(Pool(min=3), at(1)) == 3


def test_a_few_slow_pods_count_and_one_of_fifty_does_not() -> None:
    demand = Demand()
    for _ in range(49):
        demand.refilled(2.0)
    demand.refilled(60.0)
    assert demand.refill_seconds == 2.0

    demand.refilled(60.0)
    demand.refilled(60.0)
    assert demand.refill_seconds == 60.0


def test_an_operator_goes_on_where_the_one_before_was() -> None:
    status = VoiceAgentStatus(wanted=30, refill_seconds=4.5)

    demand = Demand.from_status(status)

    assert demand.refill_seconds == 4.5
    assert demand.wanted(WIDE, at(0)) == 30
    assert demand.wanted(WIDE, at(40)) == 27


def test_a_pool_that_is_as_small_as_can_be_is_not_looked_at_again() -> None:
    demand = Demand()
    demand.wanted(WIDE, at(0))
    assert demand.wake(WIDE) is None

    demand.arrived(at(1))
    assert demand.wake(WIDE) == 30
    demand.wanted(WIDE, at(400))
    demand.wanted(WIDE, at(431))
    assert demand.wake(WIDE) is None


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 30)), max_size=30),
    st.integers(0, 20),
    st.none() | st.integers(0, 40),
)
def test_whatever_comes_the_bounds_hold_and_more_calls_are_a_higher_rate(
    calls: list[tuple[int, int]], least: int, above: int | None
) -> None:
    pool = Pool(min=least, max=None if above is None else least + above)
    demand, busier = Demand(), Demand()
    for second, count in sorted(calls):
        for _ in range(count):
            demand.arrived(at(second))
            busier.arrived(at(second))
        busier.arrived(at(second))
        wanted = demand.wanted(pool, at(second))

        assert least <= wanted <= pool.most
        # Not of the pool's size: it shrinks by steps, and a burst decides when they are taken.
        assert busier.rate(at(second)) >= demand.rate(at(second))
