import pytest

from voicepod.gateway import seldom
from voicepod.gateway.seldom import Seldom

pytestmark = pytest.mark.unit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_thing_is_allowed_once_in_its_period_whatever_else_is_said() -> None:
    clock = Clock()
    said = Seldom(60, clock)
    assert said.allows("one")
    assert said.allows("other")
    clock.now = 59.9
    assert not said.allows("one")
    clock.now = 60
    assert said.allows("one")
    assert not said.allows("one")


def test_its_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seldom, "_REMEMBERED", 10)
    said = Seldom(60, Clock())
    assert all(said.allows(number) for number in range(35))
    assert not said.allows(34)
    assert said.allows(0)
