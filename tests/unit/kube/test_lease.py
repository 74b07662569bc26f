"""Who leads, by a Lease: two candidates, one API server, and a clock that jumps."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.support.fake_kube import FakeKube
from tests.support.hours import in_hours, now
from tests.support.operator_stage import NOON
from voicepod.kube.client import Kube, Object, Resource
from voicepod.kube.errors import Refused, Unavailable
from voicepod.kube.lease import LEASES, Candidate, Election, Sight

pytestmark = pytest.mark.unit

PLACE = ("voicepod-system", "voicepod-operator")
SEEN = Sight(holder="ada", renewed="12:00", url="http://ada", duration=10, since=100)


def test_a_lease_of_another_may_be_taken_when_it_has_not_changed_for_its_duration() -> None:
    assert not SEEN.may_be_taken("bea", now=109.9)
    assert SEEN.may_be_taken("bea", now=110)


def test_a_lease_that_is_ours_or_nobodys_may_be_taken_at_once() -> None:
    assert SEEN.may_be_taken("ada", now=100)
    assert replace(SEEN, holder="").may_be_taken("bea", now=100)


def lease(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"annotations": {"voicepod.dev/url": "http://ada"}}, "spec": spec}


def test_a_lease_is_counted_from_when_it_was_first_seen_as_it_is() -> None:
    words = lease(holderIdentity="ada", renewTime="12:00", leaseDurationSeconds=10)
    first = Sight.of(words, None, now=100)
    assert first == SEEN
    assert Sight.of(words, first, now=105) == SEEN


@pytest.mark.parametrize("change", [{"renewTime": "11:00"}, {"holderIdentity": "cleo"}])
def test_a_lease_that_has_changed_is_counted_anew_whatever_its_clock_says(
    change: dict[str, str],
) -> None:
    words = {"holderIdentity": "ada", "renewTime": "12:00", "leaseDurationSeconds": 10, **change}
    assert Sight.of(lease(**words), SEEN, now=105).since == 105


def test_the_duration_is_its_holders_own() -> None:
    words = {"holderIdentity": "ada", "renewTime": "12:00", "leaseDurationSeconds": 30}
    assert Sight.of(lease(**words), None, now=0).duration == 30


def test_a_lease_without_words_is_nobodys() -> None:
    assert Sight.of({"metadata": {}}, None, now=0).may_be_taken("ada", now=0)


class Line(Kube):
    """One candidate's way to the API server; ``fault`` is awaited with each request, and may be
    what keeps its answer from coming."""

    def __init__(self, kube: FakeKube) -> None:
        self._kube = kube
        self.fault: Callable[[], Awaitable[None]] = _nothing
        self.answer_fault: Callable[[], Awaitable[None]] = _nothing

    async def get(self, resource: Resource, namespace: str, name: str) -> Object:
        await self.fault()
        return await self._kube.get(resource, namespace, name)

    async def create(
        self, resource: Resource, namespace: str, body: Object, dry_run: bool = False
    ) -> Object:
        await self.fault()
        return await self._kube.create(resource, namespace, body)

    async def patch(
        self, resource: Resource, namespace: str, name: str, body: Object, subresource: str = ""
    ) -> Object:
        await self.fault()
        answer = await self._kube.patch(resource, namespace, name, body)
        await self.answer_fault()
        return answer


async def _nothing() -> None:
    return


async def hang() -> None:
    await asyncio.Event().wait()


async def unavailable() -> None:
    raise Unavailable("connection refused")


async def refused() -> None:
    raise Refused("leases.coordination.k8s.io is forbidden")


class Rival:
    """A candidate that leads whenever it can, and notes since when and until when."""

    def __init__(self, kube: FakeKube, name: str, clock_is_off: float = 0) -> None:
        self.line = Line(kube)
        self.since: float | None = None
        self.lost: float | None = None
        self.election = Election(
            self.line,
            PLACE,
            Candidate(name, f"http://{name}"),
            lambda: NOON + timedelta(seconds=now() + clock_is_off),
            self._lose,
        )
        self._task = asyncio.create_task(self._lead())

    async def _lead(self) -> None:
        async with self.election.term():
            self.since = now()
            await asyncio.Event().wait()

    def _lose(self) -> None:
        self.lost = now()
        self._task.cancel()

    @property
    def leads(self) -> bool:
        return self.election.leads

    async def stop(self) -> None:
        """End it as SIGTERM does."""
        self._task.cancel()
        await asyncio.wait([self._task])


@asynccontextmanager
async def rivals(off: float = 0) -> AsyncIterator[tuple[FakeKube, Rival, Rival]]:
    """Ada, who leads, and Bea, whose clock may be off by some seconds and who stands by."""
    kube = FakeKube()
    ada = Rival(kube, "ada")
    await asyncio.sleep(0.5)
    bea = Rival(kube, "bea", off)
    await asyncio.sleep(60)
    assert (ada.leads, bea.leads) == (True, False)
    yield kube, ada, bea
    await ada.stop()
    await bea.stop()


def spec(kube: FakeKube) -> dict[str, Any]:
    (found,) = kube.objects(LEASES)
    written: dict[str, Any] = found["spec"]
    return written


@in_hours
async def test_one_leads_and_the_other_knows_where() -> None:
    async with rivals() as (kube, _, bea):
        assert bea.election.leader_url == "http://ada"
        assert spec(kube)["holderIdentity"] == "ada"
        assert spec(kube)["leaseTransitions"] == 1
        assert spec(kube)["renewTime"] > spec(kube)["acquireTime"]


@in_hours
async def test_a_leader_that_stops_hands_over_at_the_next_look() -> None:
    async with rivals() as (kube, ada, bea):
        stopped = now()
        await ada.stop()
        assert bea.election.leader_url in ("", "http://ada")
        await asyncio.sleep(1.1)
        assert bea.leads
        assert bea.since is not None
        assert bea.since - stopped <= 1
        assert ada.lost is None
        assert spec(kube)["leaseTransitions"] == 2


@in_hours
async def test_nobody_is_known_to_lead_after_a_lease_was_given_back() -> None:
    async with rivals() as (kube, ada, _):
        last = Rival(kube, "cleo")
        await asyncio.sleep(2)
        last.line.fault = hang
        await ada.stop()
        await asyncio.sleep(10)
        assert last.election.leader_url == "http://ada"
        last.line.fault = _nothing
        await asyncio.sleep(5)
        assert last.election.leader_url == "http://bea"
        await last.stop()


@pytest.mark.parametrize("fault", [hang, unavailable, refused])
@pytest.mark.parametrize("off", [-86400, 0, 86400])
def test_a_leader_that_cannot_renew_has_stopped_before_another_leads(
    fault: Callable[[], Awaitable[None]], off: float
) -> None:
    @in_hours
    async def run() -> None:
        async with rivals(off) as (_, ada, bea):
            cut = now()
            ada.line.fault = fault
            while not bea.leads:
                assert now() < cut + 12
                await asyncio.sleep(0.01)
            assert ada.lost is not None
            assert bea.since is not None
            assert ada.lost + 1 < bea.since

    run()


@pytest.mark.parametrize("fault", [hang, unavailable])
def test_an_api_server_that_is_away_for_seconds_changes_nothing(
    fault: Callable[[], Awaitable[None]],
) -> None:
    @in_hours
    async def run() -> None:
        async with rivals() as (_, ada, bea):
            ada.line.fault = bea.line.fault = fault
            await asyncio.sleep(3)
            ada.line.fault = bea.line.fault = _nothing
            await asyncio.sleep(60)
            assert (ada.leads, bea.leads) == (True, False)

    run()


@in_hours
async def test_an_api_server_that_takes_two_seconds_for_each_renewal_changes_nothing() -> None:
    async with rivals() as (_, ada, bea):
        ada.line.fault = bea.line.fault = partial(asyncio.sleep, 1.0)
        await asyncio.sleep(60)
        assert (ada.leads, bea.leads) == (True, False)


@in_hours
async def test_a_renewal_that_fails_is_tried_again_until_the_deadline() -> None:
    async with rivals() as (_, ada, bea):
        tried: list[float] = []

        async def fail() -> None:
            tried.append(now())
            raise Unavailable("connection refused")

        ada.line.fault = fail
        await asyncio.sleep(8)
        assert ada.lost is not None
        assert len(tried) > 10
        assert ada.lost - tried[-1] < 1
        assert not bea.leads  # the Lease has some seconds left


@in_hours
async def test_one_leads_again_after_the_api_server_was_away_for_a_minute() -> None:
    async with rivals() as (_, ada, bea):
        ada.line.fault = bea.line.fault = unavailable
        await asyncio.sleep(60)
        assert ada.lost is not None
        assert not bea.leads
        ada.line.fault = bea.line.fault = _nothing
        # Bea may have missed Ada's last renewal, and counts from when she sees it.
        await asyncio.sleep(11.1)
        assert bea.leads


@in_hours
async def test_a_renewal_whose_answer_got_lost_is_one() -> None:
    async with rivals() as (_, ada, bea):
        ada.line.answer_fault = unavailable
        await asyncio.sleep(4)
        ada.line.answer_fault = _nothing
        await asyncio.sleep(60)
        assert (ada.leads, bea.leads) == (True, False)


@in_hours
async def test_a_lease_that_somebody_labels_or_deletes_stays_its_holders() -> None:
    async with rivals() as (kube, ada, bea):
        await kube.patch(LEASES, *PLACE, {"metadata": {"labels": {"team": "voice"}}})
        await asyncio.sleep(30)
        kube.remove(LEASES, *PLACE)
        await asyncio.sleep(30)
        assert ada.leads != bea.leads
        assert spec(kube)["holderIdentity"] == ("ada" if ada.leads else "bea")


@in_hours
async def test_a_leader_whose_lease_has_another_name_in_it_stops() -> None:
    async with rivals() as (kube, ada, bea):
        await kube.patch(LEASES, *PLACE, {"spec": {"holderIdentity": "cleo"}})
        await asyncio.sleep(3)
        assert not ada.leads
        assert ada.lost is not None
        await asyncio.sleep(11)
        assert bea.leads


@in_hours
async def test_a_leader_that_cannot_read_its_lease_stops() -> None:
    async with rivals() as (kube, ada, _):
        await kube.patch(LEASES, *PLACE, {"spec": {"leaseDurationSeconds": "soon"}})
        await asyncio.sleep(3)
        assert ada.lost is not None
        await kube.patch(LEASES, *PLACE, {"spec": {"leaseDurationSeconds": 10}})


@in_hours
async def test_a_leader_that_crashed_leads_again_as_soon_as_it_is_back() -> None:
    async with rivals() as (kube, ada, bea):
        ada.line.fault = hang
        await asyncio.sleep(3)
        back = Rival(kube, "ada")
        await asyncio.sleep(0)
        assert back.leads
        await asyncio.sleep(60)
        assert (back.leads, bea.leads) == (True, False)
        await back.stop()


@pytest.mark.parametrize("seed", range(10))
def test_two_never_lead_at_once_whatever_fails(seed: int) -> None:
    @in_hours
    async def run() -> None:
        chance, kube = random.Random(seed), FakeKube()
        candidates = {name: Rival(kube, name) for name in ("ada", "bea", "cleo")}
        terms = 0
        for _ in range(200):
            name = chance.choice(list(candidates))
            ours = candidates[name]
            if chance.random() < 0.1 or ours.lost is not None:
                await ours.stop()
                candidates[name] = Rival(kube, f"{name}-{now()}")
            ours.line.fault = chance.choice([_nothing, _nothing, _nothing, hang, unavailable])
            ours.line.answer_fault = chance.choice([_nothing, _nothing, unavailable, hang])
            until = now() + chance.uniform(0, 8)
            while now() < until:
                leading = [one for one in candidates.values() if one.leads]
                assert len(leading) <= 1
                await asyncio.sleep(0.1)
            terms += bool(leading)
        assert terms > 30
        for one in candidates.values():
            await one.stop()

    run()
