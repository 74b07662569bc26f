"""What has happened, in the order of its happening: who did what at which second."""

from collections.abc import Callable


class Trace:
    """Lines for people. Nothing is kept, nor even put into words, unless somebody wants it."""

    def __init__(self, now: Callable[[], float], wanted: bool) -> None:
        self._now = now
        self.wanted = wanted
        self.lines: list[str] = []

    def say(self, who: str, what: str, *details: object) -> None:
        """Note that somebody does something; the details follow in one sentence."""
        if self.wanted:
            words = " ".join(str(detail) for detail in (what, *details))
            self.lines.append(f"{self._now():9.3f}  {who:<12}  {words}")
