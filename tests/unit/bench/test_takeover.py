"""How calls that were interrupted are judged."""

import pytest

from bench.faults import Fault
from bench.interruption import Interruption, doubled
from bench.takeover import line, standing
from local.caller import AgentTrack

pytestmark = pytest.mark.unit


def test_agents_that_come_one_after_the_other_are_no_doubled_ones() -> None:
    tracks = [
        AgentTrack("first", published=1.0, ended=5.0),
        AgentTrack("second", published=5.0, ended=7.0),
        AgentTrack("second", published=6.0),
    ]
    assert doubled(tracks) == 0


@pytest.mark.parametrize("ended", [None, 5.1])
def test_an_agent_that_is_there_when_the_next_one_is_makes_two(ended: float | None) -> None:
    tracks = [
        AgentTrack("first", published=1.0, ended=ended),
        AgentTrack("second", published=5.0, ended=6.0),
        AgentTrack("third", published=7.0),
    ]
    assert doubled(tracks) == (1 if ended else 2)


def test_a_call_that_nobody_took_over_has_failed_and_is_in_no_percentile() -> None:
    calls = [
        Interruption(Fault.KILL, 0, heard=0.8, published=0.6, context=True, steps={"noticed": 0.1}),
        Interruption(Fault.KILL, 1, failure="no agent within 60 s"),
    ]
    found = standing(calls)
    assert (found.failed, found.heard.n, found.heard.p50) == (1, 1, 0.8)
    assert found.steps_p50 == {"noticed": 0.1}


def test_the_line_counts_every_call_whatever_became_of_it() -> None:
    calls = [
        Interruption(Fault.KILL, 0, heard=0.8, context=True),
        Interruption(Fault.DELETE, 0, heard=0.5, doubled=1),
        Interruption(Fault.HANG, 0, failure="the room is gone"),
    ]
    standings = {fault: standing([c for c in calls if c.fault is fault]) for fault in Fault}
    assert line(standings, calls) == (
        "takeover: kill p50=0.80 p99=0.80 delete p50=0.50 hang p50=nan context=1/3 doubled=1"
    )
