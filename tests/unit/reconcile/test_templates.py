"""Which template a session gets, and how the pool is shared between two."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicepod.builders.pod import Template
from voicepod.reconcile.templates import Outcomes, Templates

pytestmark = pytest.mark.unit

STABLE, CANARY = Template({}, "stable"), Template({}, "canary")


def test_without_a_canary_all_is_the_stable_templates() -> None:
    templates = Templates(STABLE)

    assert templates.all() == [STABLE]
    assert templates.for_session("uid", 1) is STABLE
    assert templates.shares(7, most=9) == {"stable": 7}


def test_a_canary_gets_its_share_of_the_sessions_and_each_always_the_same() -> None:
    templates = Templates(STABLE, CANARY, 20)
    uids = [f"session-{number}" for number in range(2000)]

    tried = [uid for uid in uids if templates.for_session(uid, 1) is CANARY]

    assert 300 < len(tried) < 500
    assert tried == [uid for uid in uids if templates.for_session(uid, 1) is CANARY]
    assert all(templates.for_session(uid, 2) is STABLE for uid in uids)


@given(st.integers(0, 50), st.integers(0, 20), st.integers(1, 99))
def test_the_pool_is_shared_and_none_of_both_is_without_a_pod_where_two_have_room(
    wanted: int, above: int, percent: int
) -> None:
    most = wanted + above
    shares = Templates(STABLE, CANARY, percent).shares(wanted, most)

    assert sum(shares.values()) <= most
    assert sum(shares.values()) in (wanted, 2)
    if wanted and most >= 2:
        assert all(share >= 1 for share in shares.values())
        assert set(shares) == {"stable", "canary"}


def test_a_pool_of_one_is_the_stable_templates() -> None:
    assert Templates(STABLE, CANARY, 50).shares(1, most=1) == {"stable": 1}


def test_outcomes_that_were_not_written_are_counted_again() -> None:
    outcomes = Outcomes()
    outcomes.add("stable", failed=True)

    taken = outcomes.take()
    outcomes.add("stable", failed=False)
    outcomes.put_back(taken)

    assert (outcomes.ended["stable"], outcomes.failed["stable"]) == (2, 1)
