"""Bugs that are put in on purpose, and found: the simulation can see what it is there for."""

from typing import Final

import pytest

from tests.simulation.mutations import MUTATIONS, find

pytestmark = pytest.mark.simulation

# As many as a bug may take to be found.
_SEEDS: Final = 1000


@pytest.mark.parametrize("bug", MUTATIONS)
def test_a_bug_is_found(bug: str) -> None:
    assert find(bug, range(_SEEDS))
