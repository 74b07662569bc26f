"""Node-hours, and the fewest that would have done."""

import math

import pytest

from bench.nodes import account

pytestmark = pytest.mark.unit

DAY = (0.0, 100.0)


def test_the_nodes_of_a_window_count_for_as_long_as_they_are_in_it() -> None:
    nodes = [(-10.0, 20.0), (50.0, math.inf), (200.0, 300.0)]

    assert account.used(nodes, DAY) == 20 + 50
    assert account.mean(nodes, DAY) == pytest.approx(0.7)
    assert account.most(nodes, DAY) == 1


def test_the_least_is_as_many_nodes_as_hold_the_pods_of_each_moment() -> None:
    pods = [(0.0, 40.0), (10.0, 40.0), (20.0, 40.0)]

    assert account.least(pods, places=1, window=DAY) == 40 + 30 + 20
    assert account.least(pods, places=2, window=DAY) == 40 + 20, "the third needs a second node"
    assert account.least(pods, places=3, window=DAY) == 40
    assert account.least([], places=3, window=DAY) == 0


def test_pods_that_are_always_there_take_places_as_well() -> None:
    pods = [(0.0, 40.0)]

    assert account.least(pods, places=2, window=DAY, more=2) == 2 * 40 + 60


def test_a_pod_that_takes_the_place_of_another_needs_no_more_nodes() -> None:
    assert account.least([(0.0, 50.0), (50.0, 100.0)], places=1, window=DAY) == 100


def test_a_node_that_goes_under_a_pod_is_told() -> None:
    stays = [("a", (0.0, 50.0)), ("b", (0.0, math.inf))]

    assert account.kept(stays, [("a", (0.0, 50.0)), ("b", (0.0, math.inf))]) == []
    assert account.kept(stays, [("a", (0.0, 49.0)), ("b", (0.0, 60.0))]) == ["a", "b"]
