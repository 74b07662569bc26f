"""Watches of our own, for what changes so often that kopf's share of each change is felt.

kopf gives each object a task and a queue, and looks for handlers, progress and causes at each of
its events. Of VoiceAgents and nodes that is hardly seen. A call's pod changes six times and its
session four times, and for them it was a sixth of all that the operator does.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, NoReturn

from voicepod.kube.client import Kube, Object, Resource, scopes
from voicepod.kube.errors import KubeError, Unavailable
from voicepod.kube.lists import Lists

logger = logging.getLogger(__name__)

# In seconds. A watch that ends at once, again and again, must not become a flood.
_PAUSE: Final = 0.1

# In seconds, after an error: an API server that comes back is soon asked.
_RETRY: Final = 2.0

# The resourceVersion of a watch that first tells all that there is.
_ALL: Final = "0"


async def follow(
    kube: Kube,
    resource: Resource,
    namespaces: Collection[str],
    see: Callable[[Object, bool], None],
    label_selector: str = "",
    lists: Lists | None = None,
) -> None:
    """Call ``see`` with each object that is new, changes or goes; True: it was deleted.

    With ``lists``, that is what has happened since the last of them; without, each object that is
    there is seen first. For ever, and through all errors; ``namespaces`` are exact names, none
    means all. An object may be seen again as it was. What goes while nobody is told for minutes is
    never seen to go: ``lists`` is told of that.
    """
    async with asyncio.TaskGroup() as group:
        for namespace in scopes(namespaces):
            watch = _Watch(kube, resource, namespace, label_selector, see, lists)
            group.create_task(watch.follow())


@dataclass(frozen=True, slots=True)
class _Watch:
    kube: Kube
    resource: Resource
    namespace: str | None
    label_selector: str
    see: Callable[[Object, bool], None]
    lists: Lists | None

    async def follow(self) -> NoReturn:
        version = self.lists.versions[self.resource, self.namespace] if self.lists else _ALL
        while True:
            version, pause = await self._follow(version)
            await asyncio.sleep(pause)

    async def _follow(self, version: str) -> tuple[str, float]:
        """See what happens after a version; return from which one to go on, and when."""
        plural, anew = self.resource.plural, version == _ALL
        try:
            async with aclosing(self._changes(version)) as changes:
                async for type_, item in changes:
                    if type_ == "ERROR":
                        # Mostly 410: what has happened since is forgotten.
                        logger.info("a watch of %s starts anew: %s", plural, item)
                        return _ALL, _RETRY
                    if anew and self.lists:
                        # Only now: what goes from here on, it will tell.
                        self.lists.missed()
                    anew, version = False, item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        self._see(item, type_)
        except (KubeError, ValueError) as error:
            # A ValueError is an event that was cut off.
            logger.warning("%s cannot be watched: %s", plural, error)
            # If it was refused, the version may be what is complained of.
            return version if isinstance(error, Unavailable) else _ALL, _RETRY
        return version, _PAUSE

    def _changes(self, version: str) -> AsyncGenerator[tuple[str, Object], None]:
        return self.kube.changes(self.resource, self.namespace, self.label_selector, version)

    def _see(self, item: Object, type_: str) -> None:
        try:
            self.see(item, type_ == "DELETED")
        except Exception:
            # One that cannot be understood must not keep the others from being served.
            metadata = item["metadata"]
            logger.exception("%s/%s cannot be taken over", metadata["namespace"], metadata["name"])
