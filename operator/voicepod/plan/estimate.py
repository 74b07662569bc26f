"""Packs a day's calls onto nodes, and says what that costs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from voicepod.plan.inputs import Calls, Inputs, Node
from voicepod.plan.load import Load, enough_for, growth, highest, loads
from voicepod.plan.pool import Waiting, waiting
from voicepod.plan.shared import Worker, fetching, worker


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of a day."""

    places: int
    """How many pods, or calls on shared workers, a node has room for."""
    peak: int
    """Enough for ninety-nine of a hundred moments of the busiest hour."""
    hours: float
    """Node-hours of the day, as an autoscaler follows the calls."""
    a_day: float
    """What they cost."""
    a_minute: float
    """What they cost for each minute of talk."""


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day."""

    calls: float
    at_once: float
    """In the mean."""
    waiting: float
    """Pods that wait for a call, in the mean."""
    nodes: float
    """In the mean."""


@dataclass(frozen=True, slots=True)
class Split:
    """What a minute of talk costs, by what it is paid for."""

    talking: float
    waiting: float
    warm: float
    headroom: float
    unused: float
    """Places that no pod had: on the last node, and on those that are not gone yet."""


@dataclass(frozen=True, slots=True)
class Pods:
    """A pod for each call."""

    nodes: Nodes
    hours: tuple[Hour, ...]
    most_at_once: int
    """Calls, in the busiest hour, but for one moment in a hundred."""
    warm: float
    """Pods that wait, in the mean of the day."""
    pool_min: int
    pool_max: int
    """The largest that the pool gets in such a day."""
    headroom: int
    """Pods by which calls may grow while a node starts: placeholders that hold their places."""
    split: Split


@dataclass(frozen=True, slots=True)
class Workers:
    """A pool of workers that all calls share."""

    nodes: Nodes
    most_at_once: int
    """Calls, in the busiest hour, but for one moment in a hundred."""
    worker: Worker
    fetching: float
    """Seconds of a call in which its caller waits for its context."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A day in both ways."""

    calls: float
    minutes: float
    """Of talk."""
    pods: Pods
    shared: Workers


def plan(inputs: Inputs) -> Plan:
    """Return what a day of calls takes. Raises PlanError where something does not fit."""
    return Plan(inputs.calls.a_day, inputs.calls.minutes, _pods(inputs), _workers(inputs))


def _pods(inputs: Inputs) -> Pods:
    calls, node = inputs.calls, inputs.node
    places = node.places(inputs.whole_pod, "a pod")
    on = loads(calls.hourly, calls.holding)
    idle = waiting(calls.hourly, inputs.pool_min, inputs.pod_start)
    headroom = growth(on, calls.holding, node.start)
    by_hour = [
        _mean_nodes(highest(load.mean, calls.holding, node.idle) + pool.mean + headroom, places)
        for load, pool in zip(on, idle, strict=True)
    ]
    peak = max(
        math.ceil((enough_for(load.top) + pool.mean + headroom) / places)
        for load, pool in zip(on, idle, strict=True)
    )
    nodes = _priced(places, peak, sum(by_hour), node, calls)
    return Pods(
        nodes=nodes,
        hours=tuple(
            Hour(*numbers)
            for numbers in zip(
                calls.hourly,
                [load.mean for load in on],
                [pool.mean for pool in idle],
                by_hour,
                strict=True,
            )
        ),
        most_at_once=enough_for(max(load.top for load in on)),
        warm=sum(pool.mean for pool in idle) / len(idle),
        pool_min=inputs.pool_min,
        pool_max=max(pool.most for pool in idle),
        headroom=headroom,
        split=_split(calls, on, idle, headroom, nodes),
    )


def _workers(inputs: Inputs) -> Workers:
    calls, node, shared = inputs.calls, inputs.node, inputs.shared
    one = worker(shared, node)
    places = one.calls * node.places(one.size, f"a shared worker of {one.calls} calls")
    on = loads(calls.hourly, calls.talking)
    headroom = growth(on, calls.talking, node.start)
    hours = sum(
        _mean_nodes(highest(load.mean, calls.talking, node.idle) + headroom, places) for load in on
    )
    most_at_once = enough_for(max(load.top for load in on))
    peak = math.ceil((most_at_once + headroom) / places)
    return Workers(
        nodes=_priced(places, peak, hours, node, calls),
        most_at_once=most_at_once,
        worker=one,
        fetching=fetching(shared, calls.talking),
    )


def _mean_nodes(needed: float, places: int) -> float:
    """Return how many nodes hold so many places, in the mean: the last one is half full."""
    return max(1.0, needed / places + 0.5)


def _priced(places: int, peak: int, hours: float, node: Node, calls: Calls) -> Nodes:
    a_day = hours * node.price
    return Nodes(places, peak, hours, a_day, a_day / calls.minutes)


def _split(
    calls: Calls, on: Sequence[Load], idle: Sequence[Waiting], headroom: int, nodes: Nodes
) -> Split:
    """Share out the price of a minute by the hours for which each use had places."""
    place = nodes.a_minute / (nodes.hours * nodes.places)
    busy = sum(load.mean for load in on) * place
    talking = busy * calls.talking / calls.holding
    warm = sum(pool.mean for pool in idle) * place
    held = headroom * len(on) * place
    return Split(talking, busy - talking, warm, held, nodes.a_minute - busy - warm - held)
