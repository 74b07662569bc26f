"""The other way to run agents: a pool of workers that all calls share, turn by turn.

Any worker takes any turn: it fetches the call's context, answers, and puts the context back. So a
call holds nothing between two turns and when its caller has gone, no worker waits for a call, and a
worker's memory is its own and that of the turns it has in hand. CPU is asked for as it is used in
the mean, here as in a pod of the call's own: the peaks of many calls even out on a node.
"""

from dataclasses import dataclass

from voicepod.plan.inputs import Node, Shared, Size
from voicepod.plan.load import enough_for


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker of the pool."""

    calls: int
    """For which it has room."""
    size: Size
    """What it asks for."""


def worker(shared: Shared, node: Node) -> Worker:
    """Return the worker: it fills a node, unless it is said for how many calls it is."""
    calls = shared.calls or 1
    if shared.calls is None:
        while _size(shared, calls + 1).fits_into(node.size):
            calls += 1
    return Worker(calls, _size(shared, calls))


def _size(shared: Shared, calls: int) -> Size:
    rate = calls * shared.turns / 60
    at_once = enough_for(rate * (shared.turn_cpu + shared.fetch))
    return Size(rate * shared.turn_cpu, shared.base_memory + at_once * shared.turn_memory)


def fetching(shared: Shared, talking: float) -> float:
    """Return the seconds of a call in which its caller waits for context to be fetched."""
    return talking / 60 * shared.turns * shared.fetch
