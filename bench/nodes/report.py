"""Tables for people, the JSON file, and the one line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import figures
from bench.figures import Summary
from bench.nodes import account, day
from bench.nodes.account import Span
from bench.nodes.day import CALL_SECONDS, PACE, Phase
from bench.nodes.watch import NodeLife
from local.scale.callers import Caller
from local.scale.ledger import Verdict, judge


@dataclass(frozen=True)
class Seen:
    """All that was seen of a day."""

    phases: Sequence[Phase]
    start: float
    """By the monotonic clock, as are all moments."""
    called: Sequence[Caller]
    ledger: dict[str, Any]
    nodes: Sequence[NodeLife]
    evicted: Sequence[str]
    """Pods, by their names."""
    places: int
    """Agents on a node."""
    headroom: int
    """Placeholders."""
    on_nodes: Verdict
    """How the ramp's calls fared on nodes that were all there."""

    @cached_property
    def windows(self) -> list[tuple[str, Span]]:
        """The phases, each with its begin and its end."""
        return [
            (phase.name, (self.start + begin, self.start + end))
            for phase, (begin, end) in zip(self.phases, day.bounds(self.phases), strict=True)
        ]

    @property
    def window(self) -> Span:
        """The whole day."""
        return self.windows[0][1][0], self.windows[-1][1][1]

    @cached_property
    def live(self) -> list[tuple[str, Span]]:
        """The pods with a call, from its claim until their deletion, each with its node."""
        return [
            (pod["node"], (pod["owned"], _or(pod["ending"])))
            for pod in self.ledger["pods"].values()
            if pod["owned"] is not None
        ]

    @cached_property
    def pods(self) -> list[Span]:
        """All agents' pods, those that wait for a call among them."""
        return [(pod["created"], _or(pod["ending"])) for pod in self.ledger["pods"].values()]

    @cached_property
    def calls_evicted(self) -> list[str]:
        """The pods that were evicted though they had a call."""
        had = {pod["name"] for pod in self.ledger["pods"].values() if pod["owned"] is not None}
        return sorted(had & set(self.evicted))

    @cached_property
    def waited(self) -> list[str]:
        """The calls whose pod found no node with room for it."""
        return [
            pod["owners"][0]
            for pod in self.ledger["pods"].values()
            if pod["owners"] and pod["roomless"] and pod["name"].startswith(f"{pod['owners'][0]}-")
        ]

    @cached_property
    def nodes_lost(self) -> list[str]:
        """The nodes that went while a call was on them."""
        return account.kept(self.live, [(node.name, node.span) for node in self.nodes])

    def verdict(self, window: Span) -> Verdict:
        """Return how the calls of a window fared."""
        begin, end = window
        return judge([one for one in self.called if begin <= one.due < end], self.ledger)


@dataclass(frozen=True, slots=True)
class Part:
    """A phase, or the whole day."""

    name: str
    calls: int
    at_once: float
    """Calls, in the mean."""
    nodes: float
    """In the mean, as are the following."""
    ideal: float
    """The fewest nodes that hold the calls' pods at each moment, however they have to move."""
    with_warm: float
    """The same for all agents' pods, those that wait among them."""
    with_headroom: float
    """The same with the placeholders."""
    start: Summary
    """Seconds from a call's creation to its assignment."""
    cold: int
    """Calls that found no warm pod."""

    @property
    def ratio(self) -> float:
        """Node-hours to the least possible."""
        return self.nodes / self.ideal


def part(seen: Seen, name: str, window: Span) -> Part:
    """Sum up a part of the day."""
    verdict = seen.verdict(window)
    seconds = window[1] - window[0]
    live = [span for _, span in seen.live]

    def least(pods: Sequence[Span], more: int = 0) -> float:
        return account.least(pods, seen.places, window, more) / seconds

    return Part(
        name=name,
        calls=len(verdict.created),
        at_once=account.mean(live, window),
        nodes=account.mean([node.span for node in seen.nodes], window),
        ideal=least(live),
        with_warm=least(seen.pods),
        with_headroom=least(seen.pods, seen.headroom),
        start=Summary.of(verdict.assigned),
        cold=verdict.cold,
    )


def tell(seen: Seen) -> bool:
    """Print and write it all; returns whether no call was disturbed."""
    console = Console(highlight=False, soft_wrap=True)
    whole = part(seen, "day", seen.window)
    parts = [*(part(seen, *window) for window in seen.windows), whole]
    peak = account.most([node.span for node in seen.nodes], seen.window)
    failures = [*seen.on_nodes.failures, *seen.verdict((-math.inf, math.inf)).failures]
    console.print(
        f"nodes of {seen.places} agents; calls of {CALL_SECONDS:g} s in the mean; everything "
        f"{PACE:g} times as fast as in life; head-room: {seen.headroom} placeholders\n"
    )
    console.print(_table(parts))
    console.print(_ramp(next(one for one in parts if one.name == "ramp"), seen.on_nodes))
    hours = whole.ideal
    console.print(
        f"node-hours to the least possible: {whole.ratio:.2f}; of that the warm pool is "
        f"{(whole.with_warm - hours) / hours:.2f}, head-room "
        f"{(whole.with_headroom - whole.with_warm) / hours:.2f}, what is not packed, on its way or "
        f"not gone yet {(whole.nodes - whole.with_headroom) / hours:.2f}"
    )
    console.print(
        f"evicted: {len(seen.evicted)} pods, {len(seen.calls_evicted)} with a call; "
        f"nodes removed with a call on them: {len(seen.nodes_lost)} of {len(seen.nodes)}"
    )
    for failure in failures[:20]:
        console.print(f"failed: {failure}", markup=False)
    path = figures.write("nodes", _json(seen, parts, failures))
    console.print(f"all samples: {path}")
    console.print(
        f"nodes: peak={peak} node-hours/ideal={whole.ratio:.2f} "
        f"evicted={len(seen.calls_evicted)} waited={len(seen.waited)}"
    )
    return not (failures or seen.calls_evicted or seen.nodes_lost)


def _table(parts: Sequence[Part]) -> Table:
    title = (
        "Nodes, in the mean (ideal: the fewest that hold the calls' pods at each moment; "
        "+ warm, + head-room: these as well), and from create to assigned, ms"
    )
    table = Table(title=title, title_justify="left")
    columns = ("", "calls", "at once", "nodes", "ideal", "+ warm", "+ head-room", "ratio")
    for column in (*columns, "p50", "p99", "cold"):
        table.add_column(column, justify="right" if column else "left")
    for one in parts:
        means = (one.at_once, one.nodes, one.ideal, one.with_warm, one.with_headroom)
        table.add_row(
            one.name,
            str(one.calls),
            *(f"{value:.1f}" for value in means),
            f"{one.ratio:.2f}",
            *(f"{1000 * value:.0f}" for value in (one.start.p50, one.start.p99)),
            str(one.cold),
        )
    return table


def _ramp(ramp: Part, on_nodes: Verdict) -> str:
    def told(start: Summary, cold: int) -> str:
        p50, p90, p99 = (f"{1000 * value:.0f}" for value in (start.p50, start.p90, start.p99))
        return f"p50 {p50}, p90 {p90}, p99 {p99}, {cold} of {start.n} cold"

    return (
        f"the ramp, ms: {told(ramp.start, ramp.cold)}; the same calls on nodes that are all there: "
        f"{told(Summary.of(on_nodes.assigned), on_nodes.cold)}"
    )


def _json(seen: Seen, parts: Sequence[Part], failures: Sequence[str]) -> dict[str, Any]:
    def since(moment: float) -> float | None:
        return round(moment - seen.start, 2) if math.isfinite(moment) else None

    return {
        "day": list(seen.phases),
        "pace": PACE,
        "call_seconds": CALL_SECONDS,
        "places": seen.places,
        "headroom": seen.headroom,
        "parts": parts,
        "ramp_on_nodes_that_are_there": Summary.of(seen.on_nodes.assigned),
        "failures": failures,
        "waited": seen.waited,
        "evicted": len(seen.evicted),
        "calls_evicted": seen.calls_evicted,
        "nodes_lost": seen.nodes_lost,
        "nodes": [
            {"name": node.name, "ordered": since(node.ordered), "gone": since(node.gone)}
            for node in seen.nodes
        ],
        "calls": [
            {"node": node, "claimed": since(begin), "over": since(end)}
            for node, (begin, end) in seen.live
        ],
    }


def _or(moment: float | None) -> float:
    return math.inf if moment is None else moment
