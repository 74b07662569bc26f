"""How the calls of several ways are compared."""

import pytest

from bench.calls import TOKEN_ASKED, Sample, Way
from bench.comparison import Standing, line, standing
from bench.figures import Summary

pytestmark = pytest.mark.unit


class AnyWay(Way):
    name = "warm"
    what = "for this test"

    async def ready(self) -> None: ...

    async def over(self, room: str) -> None: ...


def sample(way: str, published: float | None, **steps: float) -> Sample:
    return Sample(
        way, 0, busy=0.0, began=0.0, published=published, steps={TOKEN_ASKED: -50.0, **steps}
    )


def test_a_call_without_an_agent_has_failed_and_is_in_no_percentile() -> None:
    samples = [sample("warm", 300.0), sample("warm", None), sample("cold", 2000.0)]
    found = standing(AnyWay(), samples)
    assert found.failed == 1
    assert found.published == Summary(1, 300.0, 300.0, 300.0, 300.0)
    assert found.from_token.p50 == 350.0


def test_the_steps_come_in_the_order_in_which_they_happen() -> None:
    samples = [sample("warm", 3.0, joined=20.0, webhook=5.0), sample("warm", 3.0, webhook=7.0)]
    found = standing(AnyWay(), samples).steps_p50
    assert list(found.items()) == [(TOKEN_ASKED, -50.0), ("webhook", 6.0), ("joined", 20.0)]


def test_the_line_compares_the_ways() -> None:
    standings = {
        name: Standing("", 0, Summary(n, p50, p50, 2 * p50, 3 * p50), Summary.of([]), {})
        for name, n, p50 in (
            ("warm", 40, 300.0),
            ("token", 39, 100.0),
            ("livekit", 40, 400.0),
            ("floor", 40, 250.0),
        )
    }
    assert line(standings) == (
        "join: warm/livekit p50=0.75 p99=0.75 warm/floor p50=1.20 token/livekit p50=0.25 n=39"
    )


def test_a_way_that_was_not_taken_is_compared_with_nothing() -> None:
    found = standing(AnyWay(), [sample("warm", 300.0)])
    assert "token/livekit p50=nan" in line({"warm": found})
