"""What happens to an agent in mid-call."""

import os
import signal
import time
from enum import StrEnum
from pathlib import Path
from typing import Any

from bench.script import Script
from bench.usage import first_process, processes
from voicepod.api.names import AGENT_CONTAINER
from voicepod.kube.client import PODS, Kube

HANGING_AGENT = Script(Path(__file__).with_name("hanging_agent.py"))
"""The agent that a call must have for ``Fault.HANG`` to do anything to it."""


class Fault(StrEnum):
    """A fault, by its name in the bench's line."""

    KILL = "kill"
    """The agent's process gets a SIGKILL, and all others in its container with it."""
    DELETE = "delete"
    """Somebody deletes its pod, with the grace that the pod asks for."""
    HANG = "hang"
    """The event loop that the call is on stands still."""


async def strike(fault: Fault, kube: Kube, pod: dict[str, Any]) -> float:
    """Do it to the agent in a pod of this machine; return when, in unix seconds.

    Raises LocalError if the agent is gone already.
    """
    process = first_process(processes(pod).get(AGENT_CONTAINER, []))
    struck = time.time()
    match fault:
        case Fault.KILL:
            os.kill(process, signal.SIGKILL)
        case Fault.DELETE:
            meta = pod["metadata"]
            await kube.delete(PODS, meta["namespace"], meta["name"], uid=meta["uid"])
        case Fault.HANG:
            os.kill(process, signal.SIGUSR1)
    return struck
