"""A sample of the simulation; `make sim` runs more of it."""

import os
import subprocess
import sys

import pytest

from tests.simulation.regressions import FOUND
from tests.simulation.run import run

pytestmark = pytest.mark.simulation


@pytest.mark.parametrize("seed", sorted({*range(60), *FOUND}))
def test_whatever_goes_wrong_every_call_is_answered_once_and_nothing_is_left(seed: int) -> None:
    assert not (result := run(seed)).broken, f"{result.broken}; make sim SEED={seed}"


def test_a_seed_is_the_same_story_in_every_process() -> None:
    stories = {
        subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "3"],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": hashes},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }

    assert len(stories) == 1
    assert b"all was well" in stories.pop()
