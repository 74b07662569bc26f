"""Node-seconds: of the nodes that were there, and of the fewest that would have done. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence

Span = tuple[float, float]
"""From a moment on until another one, by one clock, in seconds."""


def used(nodes: Iterable[Span], window: Span) -> float:
    """Return the node-seconds of a window."""
    return sum(end - begin for begin, end in _within(nodes, window))


def least(pods: Iterable[Span], places: int, window: Span, more: int = 0) -> float:
    """Return the node-seconds of a window if nodes held the pods of each moment and no place more.

    ``places`` pods fit onto a node, and pods may move at any time. ``more`` pods are always there.
    """
    return sum(
        math.ceil((count + more) / places) * seconds for count, seconds in _counted(pods, window)
    )


def mean(spans: Iterable[Span], window: Span) -> float:
    """Return how many there were at once, in the mean."""
    return used(spans, window) / (window[1] - window[0])


def most(spans: Iterable[Span], window: Span) -> int:
    """Return how many there were at once at the most."""
    return max(count for count, _ in _counted(spans, window))


def _within(spans: Iterable[Span], window: Span) -> Iterator[Span]:
    for begin, end in spans:
        if begin < window[1] and end > window[0]:
            yield max(begin, window[0]), min(end, window[1])


def _counted(spans: Iterable[Span], window: Span) -> Iterator[tuple[int, float]]:
    """Yield how many there were at once, and for how many seconds, one after the other."""
    changes: list[tuple[float, int]] = []
    for begin, end in _within(spans, window):
        changes += [(begin, 1), (end, -1)]
    count, since = 0, window[0]
    for moment, change in sorted(changes):
        yield count, moment - since
        count, since = count + change, moment
    yield count, window[1] - since


def kept(stays: Sequence[tuple[str, Span]], nodes: Iterable[tuple[str, Span]]) -> list[str]:
    """Return the nodes that went while a pod of ``stays``, each with its node, was on them."""
    return [
        name
        for name, (_, gone) in nodes
        if any(node == name and begin < gone < end for node, (begin, end) in stays)
    ]
