"""What is read from a LiveKit server's log."""

from pathlib import Path

import pytest

from bench.story import read, seconds

pytestmark = pytest.mark.unit

LOG = """\
2026-11-25T22:37:26.000Z\tINFO\tlivekit\tservice/roommanager.go:433\tstarting RTC session\t\
{"room": "other", "participant": "caller"}
2026-11-25T22:37:26.100Z\tINFO\tlivekit\tservice/roommanager.go:433\tstarting RTC session\t\
{"room": "mine", "participant": "caller"}
2026-11-25T22:37:26.150Z\tINFO\tlivekit\twebhook/notifier.go:334\tsent webhook\t\
{"event": "room_started", "room": "mine", "sendDuration": "30.5ms"}
2026-11-25T22:37:26.200Z\tINFO\tlivekit\twebhook/notifier.go:334\tsent webhook\t\
{"event": "participant_joined", "room": "mine", "sendDuration": "1.5ms"}
2026-11-25T22:37:26.300Z\tINFO\tlivekit\trtc/room.go:1272\tparticipant active\t\
{"room": "mine", "participant": "agent-AJ_1"}
2026-11-25T22:37:26.900Z\tINFO\tlivekit\trtc/room.go:1272\tparticipant active\t\
{"room": "mine", "participant": "agent-AJ_1"}
a line of another kind
"""


def test_the_steps_of_one_room_are_read_each_when_it_first_happened(tmp_path: Path) -> None:
    log = tmp_path / "livekit.log"
    log.write_text(LOG)
    steps = read(log, 0, "mine")
    first = steps["caller asks to join"]
    assert {what: round((at - first) * 1000, 1) for what, at in steps.items()} == {
        "caller asks to join": 0.0,
        "webhook sent": 19.5,
        "webhook answered": 50.0,
        "agent is connected": 200.0,
    }


def test_what_was_logged_before_the_call_is_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "livekit.log"
    log.write_text(LOG)
    assert list(read(log, LOG.index("2026-11-25T22:37:26.300Z"), "mine")) == ["agent is connected"]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [("350ns", 3.5e-7), ("950.5µs", 0.0009505), ("68.766817ms", 0.068766817), ("1.5s", 1.5)],
)
def test_go_durations_are_read(duration: str, expected: float) -> None:
    assert seconds(duration) == pytest.approx(expected)


def test_a_duration_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1m0s"):
        seconds("1m0s")
