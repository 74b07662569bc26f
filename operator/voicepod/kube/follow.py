"""Watches of our own, for what changes so often that kopf's share of each change is felt.

kopf gives each object a task and a queue, and looks for handlers, progress and causes at each of
its events. Of VoiceAgents and nodes that is hardly seen. A call's pod changes six times and its
session four times, and for them it was a sixth of all that the operator does.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from contextlib import aclosing
from typing import Final, NoReturn

from voicepod.kube.client import Kube, Object, Resource, scopes
from voicepod.kube.errors import KubeError, Unavailable

logger = logging.getLogger(__name__)

# In seconds. A watch that ends at once, again and again, must not become a flood.
_PAUSE: Final = 0.1

# In seconds, after an error: an API server that comes back is soon asked.
_RETRY: Final = 2.0

# The resourceVersion of a watch that first tells all that there is.
_ALL: Final = "0"

Versions = Mapping[tuple[Resource, str | None], str]
"""The resourceVersion of the list of each kind, in each namespace or in all of them (None)."""

NO_VERSIONS: Final[Versions] = {}


async def follow(
    kube: Kube,
    resource: Resource,
    namespaces: Collection[str],
    see: Callable[[Object, bool], None],
    label_selector: str = "",
    listed: Versions = NO_VERSIONS,
) -> None:
    """Call ``see`` with each object that is new, changes or goes; True: it was deleted.

    And with each that is there, unless it has been ``listed``. For ever, and through all errors;
    ``namespaces`` are exact names, none means all. An object may be seen again as it was. What goes
    while nobody is told for minutes is never seen to go: whoever keeps objects lists them now and
    then.
    """
    async with asyncio.TaskGroup() as group:
        for namespace in scopes(namespaces):
            version = listed.get((resource, namespace), _ALL)
            group.create_task(_follow(kube, resource, namespace, see, label_selector, version))


async def _follow(
    kube: Kube,
    resource: Resource,
    namespace: str | None,
    see: Callable[[Object, bool], None],
    label_selector: str,
    version: str,
) -> NoReturn:
    while True:
        pause = _PAUSE
        try:
            async with aclosing(
                kube.changes(resource, namespace, label_selector, version)
            ) as changes:
                async for type_, item in changes:
                    if type_ == "ERROR":
                        # Mostly 410: what has happened since is forgotten.
                        version, pause = _ALL, _RETRY
                        logger.info("a watch of %s starts anew: %s", resource.plural, item)
                        break
                    version = item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        _see(see, item, type_)
        except (KubeError, ValueError) as error:
            # A ValueError is an event that was cut off.
            pause = _RETRY
            if not isinstance(error, Unavailable):
                # The version may be what it complains of.
                version = _ALL
            logger.warning("%s cannot be watched: %s", resource.plural, error)
        await asyncio.sleep(pause)


def _see(see: Callable[[Object, bool], None], item: Object, type_: str) -> None:
    try:
        see(item, type_ == "DELETED")
    except Exception:
        # One that cannot be understood must not keep the others from being served.
        metadata = item["metadata"]
        logger.exception("%s/%s cannot be taken over", metadata["namespace"], metadata["name"])
