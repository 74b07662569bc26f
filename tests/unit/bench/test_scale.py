"""What bench-scale makes of what it has seen."""

from typing import Any

import pytest

from bench.scale.churn import Window, apart, lost
from bench.scale.report import Results, line
from bench.scale.watched import CatchUp
from local.scale.callers import Caller
from local.scale.ledger import Verdict

pytestmark = pytest.mark.unit

RESTART = CatchUp(began=100.0, leads=3.0, caught_up=10.0)


def test_who_came_from_the_kill_until_all_was_caught_up_is_told_apart() -> None:
    callers = [Caller(f"c{at}", due=at, created=at) for at in (50.0, 99.5, 105.0, 110.0, 111.0)]

    outside, meanwhile = apart(callers, RESTART)

    assert [caller.created for caller in outside] == [50.0, 111.0]
    # The first of these may have been under way when the operator was killed.
    assert [caller.created for caller in meanwhile] == [99.5, 105.0, 110.0]
    assert apart(callers, None) == (callers, [])


def seen() -> dict[str, Any]:
    status = {"phase": "Active", "pod": "p", "message": "the agent is in the room"}
    return {
        "sessions": {"s": {"name": "held-0000", "status": status, "gone": None}},
        "pods": {"uid": {"name": "p", "gone": None}},
    }


def test_a_call_that_stays_with_its_agent_is_not_lost() -> None:
    assert lost(["s"], seen()) == []


@pytest.mark.parametrize("what", ["session", "status", "agent", "pod", "never"])
def test_a_call_that_ends_or_changes_its_agent_is_lost(what: str) -> None:
    found = seen()
    match what:
        case "session":
            found["sessions"]["s"]["gone"] = 5.0
        case "status":
            found["sessions"]["s"]["status"]["phase"] = "Ended"
        case "agent":
            found["sessions"]["s"]["status"]["lost"] = [{"generation": 1}]
        case "pod":
            found["pods"]["uid"]["gone"] = 5.0
        case "never":
            found["sessions"].clear()

    assert len(lost(["s"], found)) == 1


def window(beside: int, *assigned: float, restart: CatchUp | None = None) -> Window:
    verdict = Verdict(assigned=list(assigned))
    return Window(beside, verdict, Verdict(), cpu=0.2, rss_mb=250.4, restart=restart)


def test_all_of_it_is_in_one_line() -> None:
    results = Results(
        5.0,
        window(100, 0.04, 0.04),
        window(10_000, 0.05, 0.05, restart=RESTART),
        start=RESTART,
        lost=["held-0000: Ended: the room was closed"],
        unplanned=0,
        nodes=98,
    )

    assert line(results) == (
        "scale: sessions=10000 p50=50 p99=50 vs100=1.25 rss=250 catchup=10.0 lost=1"
    )
