"""What is planned comes true on a simulated day.

The tolerances are a tenth for what adds up over the day, and for the peak, which a single moment
makes, a node or an eighth. Chance moves a single day by about half of that.
"""

import pytest

from tests.support.simulated_day import DAY, HOUR, SimulatedDay, Totals
from tests.unit.plan.days import OFFICE, inputs
from voicepod.plan.estimate import Plan, plan
from voicepod.plan.inputs import Inputs

pytestmark = pytest.mark.unit

DAYS = {
    "office": inputs(),
    "busy office, large nodes": inputs(tuple(10 * calls for calls in OFFICE), places=35),
    "flat, long calls, slow pods": inputs(
        (240.0,) * 24, talking=900.0, places=8, pod_start=20.0, node={"start": 90.0, "idle": 60.0}
    ),
    "short calls": inputs(tuple(5 * calls for calls in OFFICE), talking=45.0),
    "half an hour each": inputs(talking=1800.0, places=6, pod_start=30.0, node={"start": 120.0}),
    "quiet": inputs((6.0,) * 24, talking=300.0, places=30),
}

Day = tuple[Inputs, Plan, Totals]


@pytest.fixture(scope="module", params=DAYS.values(), ids=list(DAYS))
def day(request: pytest.FixtureRequest) -> Day:
    """A day, its plan, and how it went."""
    planned = plan(request.param)
    return request.param, planned, SimulatedDay(request.param, planned.pods.headroom, seed=1).run()


def test_node_hours_and_with_them_the_price_are_as_planned(day: Day) -> None:
    given, planned, went = day
    hours = went.node_seconds / HOUR

    assert planned.pods.nodes.hours == pytest.approx(hours, rel=0.1)
    minute = hours * given.node.price / planned.minutes
    assert planned.pods.nodes.a_minute == pytest.approx(minute, rel=0.1)


def test_the_peak_takes_the_nodes_that_were_planned(day: Day) -> None:
    _, planned, went = day

    assert abs(planned.pods.nodes.peak - went.peak) <= max(1, went.peak // 8)


def test_as_many_pods_wait_as_planned(day: Day) -> None:
    _, planned, went = day

    assert planned.pods.warm == pytest.approx(went.idle_seconds / DAY, rel=0.1)


def test_as_many_calls_are_on_as_planned(day: Day) -> None:
    _, planned, went = day
    at_once = sum(hour.at_once for hour in planned.pods.hours) / len(planned.pods.hours)

    assert at_once == pytest.approx(went.call_seconds / DAY, rel=0.1)


def test_with_the_planned_head_room_no_call_waits_for_a_node(day: Day) -> None:
    _, _, went = day

    assert went.without_node == 0


def test_without_head_room_calls_do_wait_for_nodes() -> None:
    busy = DAYS["flat, long calls, slow pods"]

    assert SimulatedDay(busy, headroom=0, seed=1).run().without_node > 0
