"""Who gets a place: order, fairness, and limits, whoever waits."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.reconcile.scenes import NOON, at, session
from voicepod.api.capacity import TenantFrom
from voicepod.reconcile.capacity import Ticket, admitted, in_order, ticket_of

pytestmark = pytest.mark.unit

DESK, SHOP = ("voice", "desk"), ("voice", "shop")
TENANTS = ("acme", "bolt", "coin")


def ticket(name: str, tenant: str = "acme", priority: int = 0, since: float = 0) -> Ticket:
    return Ticket(("voice", name), name, DESK, tenant, priority, at(since))


def names(tickets: list[Ticket]) -> list[str]:
    return [one.session[1] for one in tickets]


def order(*tickets: Ticket, **held: int) -> list[str]:
    return names(list(in_order(tickets, held)))


@st.composite
def crowds(draw: st.DrawFn) -> list[Ticket]:
    """Those who wait, in any order; some came at the same moment."""
    return [
        Ticket(
            ("voice", f"call-{number}"),
            f"uid-{number}",
            draw(st.sampled_from([DESK, SHOP])),
            draw(st.sampled_from(TENANTS)),
            draw(st.integers(-1, 1)),
            at(draw(st.integers(0, 9))),
        )
        for number in draw(st.permutations(range(draw(st.integers(0, 20)))))
    ]


holdings = st.dictionaries(st.sampled_from(TENANTS), st.integers(0, 5))
rooms = st.fixed_dictionaries({DESK: st.integers(0, 8), SHOP: st.integers(0, 8)})


def test_who_came_first_goes_first() -> None:
    assert order(ticket("late", since=2), ticket("early", since=1)) == ["early", "late"]


def test_a_higher_priority_goes_before_whoever_came_first() -> None:
    assert order(ticket("first"), ticket("urgent", priority=1, since=9)) == ["urgent", "first"]


def test_the_tenant_with_the_fewest_places_goes_before_whoever_came_first() -> None:
    first, second = ticket("first", "acme"), ticket("second", "bolt", since=9)

    assert order(first, second, acme=2, bolt=1) == ["second", "first"]


def test_tenants_with_as_many_places_take_turns() -> None:
    acme = [ticket(f"acme-{number}", "acme", since=number) for number in range(3)]
    bolt = [ticket(f"bolt-{number}", "bolt", since=5 + number) for number in range(2)]

    assert order(*acme, *bolt) == ["acme-0", "bolt-0", "acme-1", "bolt-1", "acme-2"]


def test_a_place_that_a_priority_brings_counts_for_its_tenant() -> None:
    urgent = ticket("urgent", "acme", priority=1, since=9)

    assert order(ticket("first", "acme"), ticket("second", "bolt", since=1), urgent) == [
        "urgent",
        "second",
        "first",
    ]


def test_who_waits_for_a_full_agent_keeps_nobody_of_another_from_going() -> None:
    waits, goes = ticket("waits"), replace(ticket("goes", since=9), agent=SHOP)

    assert admitted([waits, goes], {}, {DESK: 0, SHOP: 1}, 5) == [goes]


@pytest.mark.parametrize(
    ("tenants", "labels", "tenant"),
    [
        (None, {}, "desk"),
        (TenantFrom(label="example.com/tenant"), {"example.com/tenant": "acme"}, "acme"),
        (TenantFrom(label="example.com/tenant"), {}, ""),
        (TenantFrom(room_delimiter=" "), {}, "a"),
        (TenantFrom(room_delimiter="--"), {}, "a room"),
    ],
)
def test_a_tenant_is_told_by_a_label_or_by_the_room(
    tenants: TenantFrom | None, labels: dict[str, str], tenant: str
) -> None:
    assert ticket_of(replace(session(), labels=labels), tenants, NOON).tenant == tenant


@given(crowds(), holdings)
def test_everybody_goes_once_and_the_order_of_a_set_is_its_own(
    crowd: list[Ticket], held: dict[str, int]
) -> None:
    went = list(in_order(crowd, held))

    assert sorted(names(went)) == sorted(names(crowd))
    assert list(in_order(reversed(crowd), held)) == went


@given(crowds(), holdings)
def test_it_is_always_the_turn_of_the_tenant_with_the_fewest_places(
    crowd: list[Ticket], held: dict[str, int]
) -> None:
    places, left = Counter(held), list(in_order(crowd, held))
    for earlier, later in pairwise(left):
        assert earlier.priority >= later.priority
    while left:
        goes = left.pop(0)
        rivals = [other for other in left if other.priority == goes.priority]
        for other in rivals:
            assert places[goes.tenant] <= places[other.tenant]
            if other.tenant == goes.tenant or places[goes.tenant] == places[other.tenant]:
                assert (goes.since, goes.session) <= (other.since, other.session)
        places[goes.tenant] += 1


@given(crowds(), holdings, rooms, st.integers(0, 10))
def test_no_limit_is_passed_and_no_place_is_left_that_somebody_could_have(
    crowd: list[Ticket], held: dict[str, int], room: dict[tuple[str, str], float], most: int
) -> None:
    went = admitted(crowd, held, room, most)

    taken = Counter(one.agent for one in went)
    assert len(went) <= most
    assert all(taken[agent] <= room[agent] for agent in room)
    if len(went) < most:
        assert all(taken[one.agent] == room[one.agent] for one in crowd if one not in went)
