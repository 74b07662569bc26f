"""A day's nodes and what they cost, in both ways."""

from dataclasses import astuple, replace

import pytest

from tests.unit.plan.days import OFFICE, inputs
from voicepod.plan.estimate import plan
from voicepod.plan.inputs import PlanError, Size
from voicepod.plan.shared import worker

pytestmark = pytest.mark.unit


def test_the_price_of_a_minute_is_shared_out_without_rest() -> None:
    for day in (inputs(), inputs((500.0,) * 24, places=35)):
        pods = plan(day).pods

        assert sum(astuple(pods.split)) == pytest.approx(pods.nodes.a_minute)
        assert min(astuple(pods.split)) > 0


def test_a_minute_costs_less_the_fuller_the_nodes_are() -> None:
    quiet, busy = plan(inputs()), plan(inputs(tuple(20 * calls for calls in OFFICE)))

    assert busy.pods.nodes.a_minute < quiet.pods.nodes.a_minute
    assert busy.pods.split.unused < quiet.pods.split.unused


def test_nodes_follow_the_hours_and_no_hour_is_without_one() -> None:
    hours = plan(inputs(tuple(5 * calls for calls in OFFICE))).pods.hours

    assert min(hour.nodes for hour in hours) >= 1
    assert hours[10].nodes > 2 * hours[3].nodes


def test_pods_that_start_slowly_need_a_larger_pool() -> None:
    slow, quick = plan(inputs(pod_start=60.0)).pods, plan(inputs(pod_start=2.0)).pods

    assert slow.warm > quick.warm
    assert slow.pool_max > quick.pool_max


def test_the_pool_is_never_smaller_than_its_least() -> None:
    pods = plan(inputs((1.0,) * 24, pool_min=7)).pods

    assert (pods.pool_min, pods.pool_max) == (7, 7)
    assert pods.warm == 7


def test_the_same_day_is_always_planned_the_same() -> None:
    assert plan(inputs()) == plan(inputs())


def test_a_shared_worker_fills_its_node_unless_told_otherwise() -> None:
    day = inputs(places=40)
    alone = worker(day.shared, day.node)
    small = worker(replace(day.shared, calls=5), day.node)

    # Six turns a minute of a second each are a tenth of a core.
    assert alone.calls == 40
    assert alone.size.cpu == pytest.approx(4)
    assert small.calls == 5
    assert small.size.cpu == pytest.approx(0.5)
    assert small.size.memory < alone.size.memory < 40 * 160 * 2**20


def test_a_shared_worker_that_fits_on_no_node_is_refused() -> None:
    day = inputs()

    with pytest.raises(PlanError, match="a shared worker of 100 calls does not fit on a node"):
        plan(replace(day, shared=replace(day.shared, calls=100)))
    with pytest.raises(PlanError, match="a shared worker of 1 calls does not fit on a node"):
        plan(replace(day, shared=replace(day.shared, base_memory=2.0**41)))


def test_where_memory_is_short_many_pods_cost_what_shared_workers_save() -> None:
    day = inputs((2000.0,) * 24, places=40)
    little = replace(day.node, size=Size(4.0, 4 * 2**30))
    both = plan(replace(day, node=little))

    assert both.pods.nodes.places == 19
    assert both.shared.nodes.places == 40
    assert both.shared.nodes.a_minute < both.pods.nodes.a_minute


def test_a_call_waits_for_its_context_at_each_turn() -> None:
    # Four minutes of six turns, each with twenty milliseconds.
    assert plan(inputs()).shared.fetching == pytest.approx(0.48)
