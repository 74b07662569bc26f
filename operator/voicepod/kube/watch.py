"""kopf as the engine of our watches, within an event loop that is ours.

kopf sees to what is hard about watches: they are cut, fall silent, or are told that they missed
something. Handlers are ``@kopf.on.event`` of an own registry, coroutines that only update a cache:
kopf neither patches an object nor posts an Event then. Three of its habits must be known:

- It takes SIGTERM and SIGINT as its own and stops at once. So the signals are taken back here.
- ``kopf.run_tasks`` ends with cancelling every task of the loop that is younger than kopf. So its
  tasks are run here.
- A kind that is not there when it starts is not watched, ever. So the caller waits for the CRDs
  before: its first list of them answers that.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any, Final

import kopf

from voicepod.kube.client import CORDONED, PAGE

# A healthy API server answers in milliseconds; kopf would wait five minutes for one that hangs.
_REQUEST_TIMEOUT: Final = 10.0

# In seconds. kopf's own grow to 21, for which new calls would wait after the API server is back;
# and it gives up, ending the process, when they are used up: here after ten minutes.
_BACKOFFS: Final = (0.5, 1.0, *[2.0] * 300)

# In seconds. kopf keeps a task, and the last event, for each object that it was told of within this
# time, and a list tells of all of them: 30 KB each.
_IDLE: Final = 0.1

# kopf would ask the system for the user's name otherwise, and a container's user has none. Its own
# type for it is private.
_IDENTITY: Final[Any] = "voicepod"


@asynccontextmanager
async def watching(
    registry: kopf.OperatorRegistry, namespaces: Collection[str]
) -> AsyncIterator[asyncio.Event]:
    """Call the registry's event handlers while the ``async with`` lasts.

    ``namespaces`` are exact names; none means all. Yields an event that is set by SIGTERM or
    SIGINT. Cancels the body and raises an ExceptionGroup when a watch fails for good: end the
    process then.
    """
    for login in (kopf.login_with_service_account, kopf.login_with_kubeconfig):
        kopf.on.login(registry=registry)(login)
    # "Handler … succeeded", at level INFO, for each event of each object.
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)

    stop_kopf = asyncio.Event()
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(),
        standalone=True,
        identity=_IDENTITY,
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop_kopf,
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(_run(tasks), name="kopf")
        try:
            yield _signalled()
        finally:
            stop_kopf.set()
            await asyncio.wait([running])


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.scanning.disabled = True
    settings.networking.request_timeout = _REQUEST_TIMEOUT
    settings.posting.enabled = False
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = _IDLE
    settings.networking.error_backoffs = _BACKOFFS
    # All others would tell of themselves every few minutes, with each image that they hold.
    settings.watching.field_selectors["nodes"] = CORDONED
    settings.persistence.diffbase_storage = _NoDiffs()
    return settings


class _NoDiffs(kopf.DiffBaseStorage):
    """Keeps kopf from comparing objects, for which it copies each one: only handlers of changes
    need that."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


async def _run(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Run kopf's tasks until one of them ends, be it because of the stop flag or by an error."""
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and (error := task.exception()):
            raise error


def _signalled() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
