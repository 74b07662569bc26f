"""Who counts as lost, who heard two agents, and how long a gap is."""

from math import inf

import pytest

from local.caller import AgentTrack
from tests.chaos.verdict import PATIENCE, Call, Outages, Voice, judge, voices

pytestmark = pytest.mark.unit

LONG = PATIENCE + 1


def call(*heard: tuple[str, float, float], left: float = 100.0) -> Call:
    """A call from 0.1 s on, with such voices: an agent, from when, until when."""
    return Call("room", joined=0.1, left=left, voices=[Voice(*one) for one in heard])


def track(agent: str, subscribed: float, ended: float | None = None) -> AgentTrack:
    return AgentTrack(agent, subscribed, subscribed, ended)


def outage(start: float, end: float) -> Outages:
    return Outages([(start, end)])


def test_a_track_is_heard_from_its_subscription_to_its_end() -> None:
    assert voices([track("a", 1, 5), track("b", 6)], []) == [Voice("a", 1, 5), Voice("b", 6, inf)]
    assert voices([track("a", 1)], [], until=9) == [Voice("a", 1, 9)]
    assert voices([track("never subscribed", 0.0, 5)], []) == []


def test_nothing_is_heard_while_the_line_is_down() -> None:
    assert voices([track("a", 1)], [(2, 3), (5, inf)]) == [Voice("a", 1, 2), Voice("a", 3, 5)]
    assert voices([track("a", 1, 4)], [(3, 6)]) == [Voice("a", 1, 3)]
    assert voices([track("a", 4, 5)], [(3, 6)]) == []


def test_a_gap_is_the_time_without_any_voice() -> None:
    made = call(("a", 2.1, 50.0), ("b", 51.0, inf))
    assert made.gaps() == [(0.1, 2.1), (50.0, 51.0)]
    assert made.longest_gap() == 2.0


def test_a_voice_that_ended_before_the_end_leaves_a_gap() -> None:
    assert call(("a", 0.1, 90.0)).gaps() == [(90.0, 100.0)]


def test_who_was_there_before_the_caller_leaves_no_gap() -> None:
    assert call(("a", 0.0, inf)).gaps() == []


def test_a_caller_without_an_agent_beyond_patience_is_lost() -> None:
    assert call(left=LONG + 0.1).is_lost(Outages())
    assert call(("a", LONG + 0.1, inf), left=LONG + 9).is_lost(Outages())
    assert not call(left=LONG - 2).is_lost(Outages())


def test_the_time_that_a_server_was_away_is_nobodys_fault() -> None:
    assert not call(left=LONG + 9).is_lost(outage(20, 30))
    assert call(left=LONG + 11).is_lost(outage(20, 30))


def test_outages_that_overlap_count_once() -> None:
    outages = Outages([(20, 30), (25, 28), (25, 35), (90, 99)], since={"server": 58})
    assert outages.waited((10, 60)) == 10 + 23
    assert outages.waited((26, 29)) == 0


def test_who_was_put_out_is_lost() -> None:
    made = call(("a", 1.0, inf))
    made.put_out = "ROOM_DELETED"
    assert made.is_lost(Outages())


def test_two_agents_at_once_are_doubled_and_one_after_the_other_are_not() -> None:
    assert call(("a", 1.0, 5.0), ("b", 4.9, inf)).is_doubled()
    assert call(("b", 4.9, inf), ("a", 1.0, inf)).is_doubled()
    assert not call(("a", 1.0, 5.0), ("b", 5.0, inf)).is_doubled()
    assert not call(("a", 1.0, 5.0), ("a", 4.0, inf)).is_doubled()


def test_the_line_tells_it_all_and_zeros_alone_are_good() -> None:
    fine, lost = call(("a", 1.3, inf)), call(left=LONG + 0.1)
    verdict = judge([fine, lost, Call("never let in")], Outages(), leaked=2)
    assert verdict.line() == f"chaos: calls=2 lost=1 doubled=0 leaked=2 longest-gap={LONG:.1f}s"
    assert not verdict.good
    assert judge([fine], Outages(), leaked=0).good
    assert not judge([], Outages(), leaked=0).good
