"""A watch: all that is there, then what changes, late but in order, until it breaks."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from tests.simulation.process import Process
from tests.simulation.scene import API_SERVER, Scene
from voicepod.kube.client import Object, Resource

# In seconds: how late the news is as a rule, when the API server has much to do, and when the
# connection has died without a word.
_QUICK: Final = (0.001, 0.02)
_SLOW: Final = (0.1, 2.0)
_STALLED: Final = (5.0, 75.0)

# In seconds, between the end of a watch and the next list.
_PAUSE: Final = (0.1, 3.0)


class Feed:
    """One watch of one process; ``take`` gets each object, and whether it was deleted.

    ``missed`` is called whenever it begins, as it does not tell what was deleted before.
    With a selector, an object that is not selected any more is told of as deleted.
    """

    def __init__(
        self,
        process: Process,
        scene: Scene,
        resource: Resource,
        take: Callable[[Object, bool], None],
        missed: Callable[[], None] = lambda: None,
        selects: Callable[[Object], bool] = lambda _: True,
    ) -> None:
        self._process, self._scene, self._resource, self._take = process, scene, resource, take
        self._missed, self._selects = missed, selects
        self._under_way: deque[tuple[float, Object, bool]] = deque()
        self._stop: Callable[[], None] = lambda: None
        self._list()

    def _list(self) -> None:
        if not self._process.alive:
            return
        if API_SERVER in self._scene.away:
            self._list_later()
            return
        self._stop = self._scene.store.watch(self._resource, self._see)
        for item in filter(self._selects, self._scene.store.kept(self._resource)):
            self._send(item, deleted=False)
        self._missed()

    def _see(self, type_: str, item: Object) -> None:
        if not self._process.alive:
            self._stop()
        elif (
            self._process.chance.happens(self._scene.weather.watch_breaks)
            or API_SERVER in self._scene.away
        ):
            self._break()
        else:
            self._send(item, type_ == "DELETED" or not self._selects(item))

    def _send(self, item: Object, deleted: bool) -> None:
        now = asyncio.get_running_loop().time()
        earlier = self._under_way[-1][0] if self._under_way else now
        self._under_way.append((max(earlier, now + self._lateness()), item, deleted))
        if len(self._under_way) == 1:
            self._wait()

    def _lateness(self) -> float:
        chance, weather = self._process.chance, self._scene.weather
        if chance.happens(weather.watch_stalls / 20):
            return chance.between(*_STALLED)
        return chance.between(*(_SLOW if chance.happens(weather.watch_slow) else _QUICK))

    def _wait(self) -> None:
        asyncio.get_running_loop().call_at(self._under_way[0][0], self._arrive, self._under_way)

    def _arrive(self, under_way: deque[tuple[float, Object, bool]]) -> None:
        if under_way is not self._under_way or not self._process.alive:
            return
        _, item, deleted = under_way.popleft()
        self._take(item, deleted)
        if under_way:
            self._wait()

    def _break(self) -> None:
        self._process.trace.say(self._process.name, "loses its watch of", self._resource.plural)
        self._stop()
        self._under_way = deque()
        self._list_later()

    def _list_later(self) -> None:
        pause = self._process.chance.between(*_PAUSE)
        asyncio.get_running_loop().call_later(pause, self._list)
