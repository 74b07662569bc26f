"""A plan as tables for people."""

from collections.abc import Iterator

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

from voicepod.plan.estimate import Plan
from voicepod.plan.inputs import Inputs, describe


def show(plan: Plan, inputs: Inputs, console: Console) -> None:
    """Print a plan."""
    for part in _parts(plan, inputs):
        console.print(part)


def _parts(plan: Plan, inputs: Inputs) -> Iterator[RenderableType]:
    yield f"{plan.calls:,.0f} calls a day, {plan.minutes:,.0f} minutes of talk\n"
    yield _side_by_side(plan)
    yield ""
    yield _split(plan)
    yield ""
    if len(set(inputs.calls.hourly)) > 1:
        yield _hours(plan)
        yield ""
    pods = plan.pods
    yield "What to set: " + ", ".join(
        (
            f"spec.pool: {{min: {pods.pool_min}, max: {pods.pool_max}}}",
            f"spec.capacity: {{headroom: {pods.headroom}}}",
        )
    )
    yield "\nWhat this takes for granted"
    yield from (f"- {line}" for line in _assumptions(plan, inputs))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    first, *others = columns
    table.add_column(first)
    for column in others:
        table.add_column(column, justify="right")
    return table


def _side_by_side(plan: Plan) -> Table:
    pods, shared = plan.pods, plan.shared
    table = _table("", "a pod for each call", "shared workers")
    rows = (
        ("calls at the peak", f"{pods.most_at_once}", f"{shared.most_at_once}"),
        ("calls on a node", f"{pods.nodes.places}", f"{shared.nodes.places}"),
        ("nodes at the peak", f"{pods.nodes.peak}", f"{shared.nodes.peak}"),
        ("node-hours a day", f"{pods.nodes.hours:.1f}", f"{shared.nodes.hours:.1f}"),
        ("warm pods, mean and most", f"{pods.warm:.1f}, {pods.pool_max}", "none"),
        ("a day costs", f"{pods.nodes.a_day:.2f}", f"{shared.nodes.a_day:.2f}"),
        (
            "a minute of talk costs",
            f"{pods.nodes.a_minute:.6f}",
            f"{shared.nodes.a_minute:.6f}",
        ),
        ("silence for context, a call", "none", f"{shared.fetching:.1f} s"),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _split(plan: Plan) -> Table:
    split, whole = plan.pods.split, plan.pods.nodes.a_minute
    table = _table("A minute of talk, a pod for each call", "costs", "share")
    for name, cost in (
        ("talking", split.talking),
        ("waiting: start, caller away, goodbye", split.waiting),
        ("warm pods", split.warm),
        ("head-room while a node starts", split.headroom),
        ("unused", split.unused),
    ):
        table.add_row(name, f"{cost:.6f}", f"{cost / whole:.0%}")
    return table


def _hours(plan: Plan) -> Table:
    table = _table("Hour", "calls", "at once", "warm pods", "nodes")
    for number, hour in enumerate(plan.pods.hours):
        table.add_row(
            f"{number:02}:00",
            f"{hour.calls:,.0f}",
            f"{hour.at_once:.1f}",
            f"{hour.waiting:.1f}",
            f"{hour.nodes:.1f}",
        )
    return table


def _assumptions(plan: Plan, inputs: Inputs) -> Iterator[str]:
    shared, node, worker = inputs.shared, inputs.node, plan.shared.worker
    yield (
        f"calls come by chance, last {inputs.calls.talking:.0f} s in the mean, and have their pod "
        f"{inputs.calls.waiting:.0f} s longer"
    )
    yield (
        f"a pod asks for {describe(inputs.whole_pod)}, its sidecar among it, and waits "
        f"{inputs.pod_start:.0f} s after it was made; the operator sizes its pool"
    )
    yield (
        "the scheduler fills one node after the other (docs/nodes.md); a new node takes "
        f"{node.start:.0f} s, and one that is not needed goes after {node.idle:.0f} s"
    )
    yield (
        f"a shared worker of {worker.calls} calls asks for {describe(worker.size)}: "
        f"{shared.turns:g} turns a minute "
        f"of {shared.turn_cpu:g} s CPU and {shared.turn_memory / 2**20:.0f}Mi each, and context "
        f"fetched in {shared.fetch * 1000:.0f} ms; what keeps the context, and the media between "
        "two turns, is not in its price"
    )
