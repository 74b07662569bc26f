"""How the calls of bench-join are summed up."""

import pytest

from bench.calls import Sample
from bench.figures import Summary
from bench.join import line, median_steps, summed_up

pytestmark = pytest.mark.unit


def sample(way: str, published: float | None, **steps: float) -> Sample:
    return Sample(way, 0, busy=0.0, began=0.0, published=published, steps=steps)


def test_a_call_without_an_agent_is_in_no_percentile() -> None:
    samples = [sample("warm", 300.0), sample("warm", None), sample("cold", 2000.0)]
    assert summed_up(samples, "warm") == Summary(1, 300.0, 300.0, 300.0, 300.0)


def test_the_steps_of_a_way_come_in_the_order_in_which_they_happen() -> None:
    samples = [sample("warm", 3.0, joined=20.0, webhook=5.0), sample("warm", 3.0, webhook=7.0)]
    assert list(median_steps(samples, "warm").items()) == [("webhook", 6.0), ("joined", 20.0)]


def test_the_line_compares_the_ways() -> None:
    summaries = {
        name: Summary(n, p50, p50, 2 * p50, 3 * p50)
        for name, n, p50 in (
            ("warm", 40, 300.0),
            ("token", 39, 100.0),
            ("livekit", 40, 400.0),
            ("floor", 40, 250.0),
        )
    }
    assert line(summaries) == (
        "join: warm/livekit p50=0.75 p99=0.75 warm/floor p50=1.20 token/livekit p50=0.25 n=39"
    )


def test_a_way_that_was_not_taken_is_compared_with_nothing() -> None:
    assert "token/livekit p50=nan" in line({"warm": Summary(1, 1.0, 1.0, 1.0, 1.0)})
