"""``voicepod plan``: reads the options, prints the plan."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from voicepod.plan.estimate import plan
from voicepod.plan.inputs import (
    Calls,
    Inputs,
    Node,
    PlanError,
    Shared,
    Size,
    amount,
    duration,
    hourly,
)
from voicepod.plan.report import show

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

T = TypeVar("T")

_NODE = "The nodes"
_SHARED = "The shared workers beside it"


@app.command()
def command(
    calls_per_hour: Annotated[
        str,
        typer.Option(
            help="Calls that come in an hour: one number for the whole day, or 24 with commas "
            "between, from midnight on."
        ),
    ],
    node_cpu: Annotated[
        str,
        typer.Option(
            help="CPU of a node for agents: its allocatable, less what DaemonSets take.",
            rich_help_panel=_NODE,
        ),
    ],
    node_memory: Annotated[
        str, typer.Option(help="Memory of a node for agents.", rich_help_panel=_NODE)
    ],
    node_price: Annotated[
        float,
        typer.Option(min=0, help="What a node costs an hour.", rich_help_panel=_NODE),
    ],
    call: Annotated[str, typer.Option(help="How long a call lasts, in the mean.")] = "4m",
    # reconnectGrace as it is unless set, and the goodbye: see the first run in the README.
    waiting: Annotated[
        str,
        typer.Option(
            help="For how much longer a call has its pod: start, reconnectGrace, goodbye. It is "
            "podSeconds.waiting of your sessions."
        ),
    ] = "12s",
    # What the default agent asks for in the README.
    pod_cpu: Annotated[
        str, typer.Option(help="CPU that the template asks for; the sidecar's comes on top.")
    ] = "100m",
    pod_memory: Annotated[str, typer.Option(help="Memory that the template asks for.")] = "160Mi",
    pod_start: Annotated[
        str,
        typer.Option(
            help="How long a pod takes until it waits: refillSeconds of your VoiceAgent's status."
        ),
    ] = "5s",
    pool_min: Annotated[int, typer.Option(min=0, max=1000, help="pool.min of the VoiceAgent.")] = 1,
    # What the kubelet takes unless told otherwise.
    node_pods: Annotated[
        int, typer.Option(min=1, help="Pods that a node takes.", rich_help_panel=_NODE)
    ] = 110,
    node_start: Annotated[
        str,
        typer.Option(
            help="How long a pod without room waits for a new node.", rich_help_panel=_NODE
        ),
    ] = "60s",
    # Cluster Autoscaler's scale-down-unneeded-time; Karpenter has consolidateAfter.
    node_idle: Annotated[
        str,
        typer.Option(
            help="How long the autoscaler leaves a node that is not needed.", rich_help_panel=_NODE
        ),
    ] = "10m",
    shared_calls: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Calls of one worker; as many as a node has room for unless set.",
            rich_help_panel=_SHARED,
        ),
    ] = None,
    # LiveKit's own worker with the default agent, and each call on it: see the README.
    shared_memory: Annotated[
        str, typer.Option(help="Memory of a worker that does nothing.", rich_help_panel=_SHARED)
    ] = "254Mi",
    turn_memory: Annotated[
        str, typer.Option(help="Memory of a turn while it lasts.", rich_help_panel=_SHARED)
    ] = "54Mi",
    # One each ten seconds, which makes of a second of CPU the 100m that a pod asks for.
    turns: Annotated[
        float, typer.Option(min=0, help="Turns of a call in a minute.", rich_help_panel=_SHARED)
    ] = 6,
    turn_cpu: Annotated[
        str, typer.Option(help="CPU time that a turn takes.", rich_help_panel=_SHARED)
    ] = "1s",
    # Two requests to a Redis in the same zone, and some kilobytes to be parsed.
    context_fetch: Annotated[
        str,
        typer.Option(
            help="How long a turn takes to fetch the call's context and put it back.",
            rich_help_panel=_SHARED,
        ),
    ] = "20ms",
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Tell how many nodes and warm pods calls take, and what a minute of talk costs.

    Beside it stands what a pool of workers would cost that all calls share, turn by turn.
    """
    try:
        inputs = Inputs(
            calls=Calls(
                _read("--calls-per-hour", hourly, calls_per_hour),
                _read("--call", duration, call),
                _read("--waiting", duration, waiting),
            ),
            pod=Size(
                _read("--pod-cpu", amount, pod_cpu), _read("--pod-memory", amount, pod_memory)
            ),
            pod_start=_read("--pod-start", duration, pod_start),
            pool_min=pool_min,
            node=Node(
                Size(
                    _read("--node-cpu", amount, node_cpu),
                    _read("--node-memory", amount, node_memory),
                ),
                node_pods,
                node_price,
                _read("--node-start", duration, node_start),
                _read("--node-idle", duration, node_idle),
            ),
            shared=Shared(
                shared_calls,
                _read("--shared-memory", amount, shared_memory),
                turns,
                _read("--turn-cpu", duration, turn_cpu),
                _read("--turn-memory", amount, turn_memory),
                _read("--context-fetch", duration, context_fetch),
            ),
        )
        planned = plan(inputs)
    except PlanError as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        print(json.dumps(asdict(planned), indent=2))
    else:
        show(planned, inputs, Console())


def _read(option: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except PlanError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
