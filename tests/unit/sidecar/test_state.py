"""Whatever happens in whatever order, the pod has one life."""

import itertools
from collections.abc import Callable
from dataclasses import astuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicepod.assignment.messages import (
    Accepted,
    Assignment,
    PodStatus,
    RoomRef,
    SessionRef,
    Speech,
    Tokens,
)
from voicepod.sidecar.health import Beat
from voicepod.sidecar.state import Pod, Refused

pytestmark = pytest.mark.unit


def assignment(session: str, generation: int, **more: Any) -> Assignment:
    ref, room = SessionRef("voice", session, session), RoomRef("RM_1", "room")
    return Assignment(ref, generation, room, "ws://livekit", "AJ_1", 1.0, **more)


def register(pod: Pod) -> None:
    if not pod.why_no_agent():
        pod.register("demo", "1.8.9")


def six_seconds(pod: Pod) -> None:
    for _ in range(12):
        pod.tick()


# Every event and every request, wherever the pod is.
MOVES: dict[str, Callable[[Pod], object]] = {
    "register": register,
    "disconnect": Pod.disconnect,
    "give_up": Pod.give_up,
    "assign": lambda pod: pod.assign(assignment("a", 1)),
    "assign the next generation": lambda pod: pod.assign(assignment("a", 2)),
    "assign another": lambda pod: pod.assign(assignment("b", 1)),
    "refuse": lambda pod: pod.refuse("busy"),
    "expire": Pod.expire,
    "dispatch": lambda pod: pod.dispatch(Tokens("a", 1, "join", "room"), "agent-1"),
    "dispatch another": lambda pod: pod.dispatch(Tokens("b", 1, "join", "room"), "agent-1"),
    "running": lambda pod: pod.report("AJ_1", "JS_RUNNING", ""),
    "success": lambda pod: pod.report("AJ_1", "JS_SUCCESS", ""),
    "failed": lambda pod: pod.report("AJ_1", "JS_FAILED", "oh"),
    "another job's": lambda pod: pod.report("AJ_2", "JS_SUCCESS", ""),
    "checkpoint": lambda pod: pod.keep("so far"),
    "beat": lambda pod: pod.beat(Beat(Speech("listening"))),
    "beat of an agent that stays silent": lambda pod: pod.beat(Beat(Speech("thinking"), 60.0)),
    "six seconds": six_seconds,
    "leave": Pod.leave,
    "end": lambda pod: pod.end("CallerLeft"),
}

# The answer to an offer comes only after an offer; the pod may be over by then.
ACCEPT = "accept"


@given(st.lists(st.sampled_from([*MOVES, ACCEPT]), max_size=12))
def test_a_pod_has_one_life(moves: list[str]) -> None:
    pod = Pod(itertools.count(1.0).__next__)
    dispatches = 0
    for move in moves:
        before = pod.status()
        was_over = pod.over
        try:
            if move != ACCEPT:
                dispatches += MOVES[move](pod) is True and "dispatch" in move
            elif pod.assignment and pod.job is None:
                pod.accept(Accepted("agent-1"))
        except Refused:
            assert pod.status() == before
        after = pod.status()
        assert PodStatus.from_dict(after.to_dict()) == after
        assert (after.end is not None) == (after.at.ended is not None) == pod.over
        assert before.session in (None, after.session)
        for earlier, later in zip(astuple(before.at), astuple(after.at), strict=True):
            assert earlier in (None, later)
        if was_over:
            assert (after.state, after.end, after.at) == (before.state, before.end, before.at)
    assert dispatches <= 1


def test_a_report_of_another_job_means_nothing() -> None:
    pod = Pod(itertools.count(1.0).__next__)
    pod.register("demo", "1.8.9")
    pod.assign(assignment("a", 1))
    pod.accept(Accepted("agent-1"))
    pod.dispatch(Tokens("a", 1, "join", "room"), "agent-1")
    pod.report("AJ_2", "JS_SUCCESS", "")
    assert pod.state == "running"
    assert pod.silent
