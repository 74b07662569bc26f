"""Chance that can be had again: everything that happens by chance is drawn from the seed."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Chance:
    """The draws of one actor: what the others draw changes nothing in them."""

    def __init__(self, seed: int, actor: str) -> None:
        # Text is hashed by SHA-512 here, and so it is the same in every process.
        self._random = random.Random(f"{seed}/{actor}")

    def happens(self, probability: float) -> bool:
        """Whether something of this probability happens."""
        return probability > 0 and self._random.random() < probability

    def between(self, low: float, high: float) -> float:
        """Return a number, mostly seconds; each one is as likely."""
        return self._random.uniform(low, high)

    def count(self, low: int, high: int) -> int:
        """Return a whole number from ``low`` to ``high``."""
        return self._random.randint(low, high)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self._random.choice(choices)
