"""When callers come."""

import itertools

import pytest

from bench.claim.arrivals import arrivals

pytestmark = pytest.mark.unit


def test_callers_come_at_random_but_at_the_same_moments_again() -> None:
    moments = arrivals(5, 1000)
    assert moments == arrivals(5, 1000)
    assert moments == sorted(moments)
    # Five standard deviations of what such a process may differ by.
    assert abs(len(moments) - 5000) < 5 * 5000**0.5
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    # Gaps below the mean are 63 % of an exponential distribution, not half.
    assert 0.6 < sum(gap < 0.2 for gap in gaps) / len(gaps) < 0.66
