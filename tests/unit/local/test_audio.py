import wave
from pathlib import Path

import numpy as np
import pytest

from local.audio import FRAME_SECONDS, RATE, Ear, Utterance, save

pytestmark = pytest.mark.unit

FRAME = round(RATE * FRAME_SECONDS)


class Line:
    """What an ear hears of a line, on a clock of its own."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.now = 100.0

    def carries(self, loudness: int, seconds: float) -> None:
        for _ in range(round(seconds / FRAME_SECONDS)):
            self.ear.hear(np.full(FRAME, loudness, dtype=np.int16).tobytes(), self.now)
            self.now += FRAME_SECONDS

    @property
    def utterances(self) -> list[Utterance]:
        return [
            Utterance(round(u.start, 2), u.end and round(u.end, 2)) for u in self.ear.utterances
        ]


def test_a_line_without_a_voice_carries_no_utterance() -> None:
    line = Line()
    line.carries(5, seconds=3)

    assert line.utterances == []


def test_an_utterance_goes_from_its_first_to_its_last_loud_frame() -> None:
    line = Line()
    line.carries(0, seconds=1)
    line.carries(2000, seconds=0.5)
    line.carries(0, seconds=1)

    assert line.utterances == [Utterance(101.0, 101.48)]


def test_an_utterance_has_no_end_while_it_may_go_on() -> None:
    line = Line()
    line.carries(2000, seconds=0.5)
    line.carries(0, seconds=0.5)

    assert line.utterances == [Utterance(100.0, None)]


def test_a_pause_between_two_sentences_does_not_end_an_utterance() -> None:
    line = Line()
    line.carries(2000, seconds=0.5)
    line.carries(0, seconds=0.5)
    line.carries(2000, seconds=0.5)
    line.carries(0, seconds=1)

    assert len(line.utterances) == 1


def test_a_long_pause_begins_a_new_utterance() -> None:
    line = Line()
    for _ in range(2):
        line.carries(2000, seconds=0.5)
        line.carries(0, seconds=1)

    assert len(line.utterances) == 2


def test_a_line_that_is_cut_ends_the_utterance() -> None:
    line = Line()
    line.carries(2000, seconds=0.5)
    line.ear.line_ended()

    assert line.utterances == [Utterance(100.0, 100.48)]


def test_all_that_was_heard_is_kept(tmp_path: Path) -> None:
    line = Line()
    line.carries(0, seconds=1)
    line.carries(2000, seconds=1)
    save(tmp_path / "heard.wav", [line.ear])

    with wave.open(str(tmp_path / "heard.wav")) as heard:
        assert (heard.getnframes() / heard.getframerate(), heard.getnchannels()) == (2.0, 1)
        assert set(np.frombuffer(heard.readframes(2 * RATE), dtype=np.int16)) == {0, 2000}
