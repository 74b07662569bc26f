"""When everything is listed, and when it is listed again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from tests.support.hours import in_hours
from voicepod.kube.client import PODS
from voicepod.kube.errors import Unavailable
from voicepod.kube.lists import Lists, Versions

pytestmark = pytest.mark.unit

HOUR = 3600.0


class ApiServer:
    """Notes when a list began, and how slow it was to be; each takes a second."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        """That many of the next lists are not to be had."""
        self.began: list[float] = []
        self.pauses: list[float] = []
        self.few = 0
        """How often what there is little of was listed alone."""
        self.lists = Lists(partial(self._fill, 0.0), self._fill, self._fill_few)

    async def _fill(self, pause: float) -> Versions:
        self.began.append(now())
        self.pauses.append(pause)
        await self._answer()
        return {(PODS, None): str(len(self.began))}

    async def _fill_few(self) -> None:
        self.few += 1
        await self._answer()

    async def _answer(self) -> None:
        await asyncio.sleep(1)
        if self.fails:
            self.fails -= 1
            raise Unavailable("it is away")

    @asynccontextmanager
    async def listed_again(self) -> AsyncIterator[None]:
        """Have it listed again what watches miss."""
        again = asyncio.create_task(self.lists.again())
        yield
        again.cancel()


def now() -> float:
    return asyncio.get_running_loop().time()


@in_hours
async def test_what_was_listed_since_a_moment_is_not_listed_again_for_it() -> None:
    api, moment = ApiServer(), now()
    await asyncio.gather(api.lists.since(moment), api.lists.once())
    await api.lists.since(moment)

    assert api.pauses == [0], "somebody waits for it"


@in_hours
async def test_a_list_that_began_before_a_moment_may_lack_what_was_written_then() -> None:
    api = ApiServer()
    first = asyncio.create_task(api.lists.once())
    await asyncio.sleep(0.5)
    moment = now()
    await api.lists.since(moment)
    await first

    assert [began >= moment for began in api.began] == [False, True]
    assert api.lists.versions == {(PODS, None): "2"}, "watches go on from the last list"


@in_hours
async def test_what_nobody_missed_is_not_listed_again_but_for_what_there_is_little_of() -> None:
    api = ApiServer(fails=1)
    async with api.listed_again():
        await asyncio.sleep(HOUR)

    assert not api.began
    assert api.few > 1, "kopf does not tell what it missed; nor does it matter if one fails"


@in_hours
async def test_what_a_watch_has_missed_is_listed_slowly_once() -> None:
    api = ApiServer()
    async with api.listed_again():
        await asyncio.sleep(10)
        for _ in ("sessions", "pods"):
            api.lists.missed()
        await asyncio.sleep(HOUR)

    assert len(api.pauses) == 1
    assert api.pauses[0] > 0


@in_hours
async def test_what_is_missed_during_a_list_is_listed_after_it() -> None:
    api = ApiServer()
    async with api.listed_again():
        api.lists.missed()
        await asyncio.sleep(0.5)
        moment = now()
        api.lists.missed()
        await asyncio.sleep(HOUR)

    assert [began >= moment for began in api.began] == [False, True]


@in_hours
async def test_a_list_that_fails_is_tried_until_it_succeeds() -> None:
    api = ApiServer(fails=3)
    async with api.listed_again():
        api.lists.missed()
        await asyncio.sleep(HOUR)

    assert len(api.began) == 4
