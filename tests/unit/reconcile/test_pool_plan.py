"""What a pool lacks and has too much of, whatever pods there are."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.reconcile.scenes import at, pod
from voicepod.api.agent import Pool
from voicepod.reconcile.objects import Pod
from voicepod.reconcile.pool_plan import Plan, plan

pytestmark = pytest.mark.unit


def warm(number: int, template: str = "new", ready: bool = True, **changes: Any) -> Pod:
    return pod(
        key=("voice", f"desk-{number:03}"),
        uid=f"uid-{number}",
        session=None,
        template_hash=template,
        created=at(number),
        ready=ready,
        **changes,
    )


@st.composite
def some_pods(draw: st.DrawFn, template: str = "", whole: bool = False) -> list[Pod]:
    flags = st.just(False) if whole else st.booleans()
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from([template] if template else ["new", "old"]),
                st.booleans(),
                flags,
                flags,
            ),
            max_size=12,
        )
    )
    return [
        warm(number, hash_, ready and not finished, deleting=deleting, finished=finished)
        for number, (hash_, ready, deleting, finished) in enumerate(drawn)
    ]


def pools_from(least: int) -> st.SearchStrategy[Pool]:
    """Pools that are to have so many pods at least."""
    drawn = st.tuples(st.integers(least, 12), st.integers(0, 6))
    return drawn.map(lambda drawn: Pool(min=drawn[0], max=sum(drawn)))


pools = pools_from(0)


def planned(pods: list[Pod], pool: Pool) -> Plan:
    """The plan for a pool whose pods are all to be of the template ``new``."""
    return planned_for(pods, {"new": pool.min}, pool.most)


def planned_for(
    pods: list[Pod],
    shares: dict[str, int],
    most: int,
    cordoned: Mapping[str, datetime] = MappingProxyType({}),
    calls_on: Mapping[str, int] = MappingProxyType({}),
) -> Plan:
    return plan(pods, shares, most, cordoned, lambda node: calls_on.get(node, 0))


def made(count: int) -> Plan:
    return Plan({"new": count})


def alive(pods: list[Pod]) -> list[Pod]:
    return [one for one in pods if not one.finished and not one.deleting]


def left(pods: list[Pod], todo: Plan) -> list[Pod]:
    return [one for one in alive(pods) if one not in todo.delete]


@given(some_pods(), pools)
def test_there_are_never_more_than_max(pods: list[Pod], pool: Pool) -> None:
    todo = planned(pods, pool)

    created = sum(todo.create.values())
    assert created == 0 or len(pods) + created <= pool.most
    assert len(left(pods, todo)) <= pool.most


@given(some_pods(), pools_from(1), st.integers(0, 12), st.sampled_from(["new", "old"]))
def test_a_pool_with_pods_that_are_ready_is_never_emptied(
    pods: list[Pod], pool: Pool, place: int, ready: str
) -> None:
    place = min(place, len(pods))
    pods = [*pods[:place], warm(place, ready), *pods[place + 1 :]]

    assert any(one.ready for one in left(pods, planned(pods, pool)))


@given(some_pods(), pools)
def test_an_old_pod_that_is_ready_goes_only_when_enough_are(pods: list[Pod], pool: Pool) -> None:
    assume(pool.most > pool.min)
    todo = planned(pods, pool)

    if any(one.ready and one.template_hash == "old" and not one.finished for one in todo.delete):
        assert sum(one.ready for one in left(pods, todo)) >= pool.min


@given(some_pods(), pools)
def test_each_pod_is_deleted_once_and_none_that_goes_already(pods: list[Pod], pool: Pool) -> None:
    gone = planned(pods, pool).delete

    assert len({one.uid for one in gone}) == len(gone)
    assert not any(one.deleting for one in gone)
    assert {one.uid for one in pods if one.finished and not one.deleting} <= {
        one.uid for one in gone
    }


@given(some_pods(whole=True), pools)
def test_every_pool_comes_to_rest_full_of_new_pods_and_on_its_way_keeps_its_bounds(
    pods: list[Pod], pool: Pool
) -> None:
    # A pool of one that may not have two waits for its old pod to be claimed.
    assume(not (pool.min == pool.most == 1))
    was_ready = any(one.ready for one in pods)
    number = 100
    for _ in range(100):
        todo = planned(pods, pool)
        if todo == Plan() and all(one.ready for one in pods):
            break
        created = sum(todo.create.values())
        fresh = [warm(number + n, ready=False) for n in range(created)]
        number += created
        pods = [replace(one, ready=True) for one in left(pods, todo)] + fresh
        assert len(pods) <= max(pool.most, len(pods) - created)
        assert pool.min == 0 or not was_ready or any(one.ready for one in pods)
        was_ready = was_ready or any(one.ready for one in pods)

    assert len(pods) == pool.min
    assert {one.template_hash for one in pods} <= {"new"}


def test_an_empty_pool_is_filled_at_once() -> None:
    assert planned([], Pool(min=7, max=9)) == made(7)


def test_no_pool_is_wanted_where_none_is_said() -> None:
    assert planned([], Pool()) == Plan()


def test_pods_that_are_starting_or_going_count_for_max() -> None:
    pods = [warm(1, ready=False), warm(2, deleting=True)]

    assert planned(pods, Pool(min=3, max=3)).create == {"new": 1}


def test_a_lowered_min_takes_those_first_that_are_not_ready_and_then_the_newest() -> None:
    pods = [warm(1), warm(2, ready=False), warm(3), warm(4)]

    assert planned(pods, Pool(min=2, max=4)).delete == (pods[1], pods[3])


def test_pods_that_are_too_many_leave_the_nodes_with_the_fewest_calls_first() -> None:
    pods = [warm(1, node="idle"), warm(2, node="busy"), warm(3, node="idle"), warm(4, node="busy")]

    todo = planned_for(pods, {"new": 2}, 4, calls_on={"busy": 7})
    assert todo == Plan({}, (pods[2], pods[0]))


def test_a_quarter_of_the_pool_is_made_anew_before_an_old_pod_goes() -> None:
    old = [warm(number, "old") for number in range(8)]
    pool = Pool(min=8, max=20)
    assert planned(old, pool) == made(2)

    starting = [warm(8, ready=False), warm(9, ready=False)]
    assert planned(old + starting, pool) == Plan()

    ready = [warm(8), warm(9, ready=False)]
    assert planned(old + ready, pool) == Plan({}, (old[7],))


def test_a_canary_gets_its_pods_first_and_then_one_of_the_others_goes_for_each() -> None:
    stable = [warm(number, "stable") for number in range(4)]
    shares = {"stable": 3, "canary": 1}
    assert planned_for(stable, shares, 8) == Plan({"canary": 1})
    assert planned_for(stable, shares, 4) == Plan({}, (stable[3],))

    tried = warm(4, "canary")
    assert planned_for([*stable, tried], shares, 8) == Plan({}, (stable[3],))
    assert planned_for([*stable[:3], tried], shares, 8) == Plan()
    assert planned_for([tried], shares, 8) == Plan({"stable": 3})


def test_old_pods_that_are_not_ready_help_nobody() -> None:
    pods = [warm(1, "old"), warm(2, "old", ready=False)]

    assert planned(pods, Pool(min=2, max=4)).delete == (pods[1],)


def test_a_pool_without_room_gives_a_quarter_up_first_but_never_its_last() -> None:
    old = [warm(number, "old") for number in range(4)]
    assert planned(old, Pool(min=4, max=4)) == Plan({}, (old[3],))
    assert planned(old[:3], Pool(min=4, max=4)) == made(1)

    assert planned(old[:1], Pool(min=1, max=1)) == Plan()


CORDONED: Final = {"cordoned": at(100)}


@st.composite
def on_some_nodes(draw: st.DrawFn) -> list[Pod]:
    """Some of them are on a cordoned one."""
    return [
        replace(one, node=draw(st.sampled_from(["node-1", "cordoned"])))
        for one in draw(some_pods())
    ]


def moved(pods: list[Pod], pool: Pool) -> Plan:
    """The plan for a pool, while a node is cordoned."""
    return planned_for(pods, {"new": pool.min}, pool.most, CORDONED)


@given(on_some_nodes(), pools)
def test_cordoned_nodes_lose_all_pods_but_one_until_another_is_ready(
    pods: list[Pod], pool: Pool
) -> None:
    todo = moved(pods, pool)
    stayed = left(pods, todo)

    spared = [one for one in stayed if one.node in CORDONED]
    assert len(spared) <= 1
    assert all(one.ready for one in spared)
    assert not (spared and any(one.ready for one in stayed if one.node not in CORDONED))


@given(on_some_nodes(), pools)
def test_a_pool_on_cordoned_nodes_keeps_its_bounds_and_is_never_emptied(
    pods: list[Pod], pool: Pool
) -> None:
    todo = moved(pods, pool)

    created = sum(todo.create.values())
    assert created == 0 or len(pods) + created <= pool.most
    assert len(left(pods, todo)) <= pool.most
    if pool.min > 0 and pool.most > 1 and any(one.ready for one in alive(pods)):
        assert any(one.ready for one in left(pods, todo))


@given(on_some_nodes(), pools)
def test_pods_on_cordoned_nodes_are_replaced_at_once_where_there_may_be_more(
    pods: list[Pod], pool: Pool
) -> None:
    pods = [one for one in pods if one.node in CORDONED]
    room = pool.most - len(pods)

    assert sum(moved(pods, pool).create.values()) == max(0, min(pool.min, room))


def test_a_pool_of_one_that_may_not_have_two_moves_at_once() -> None:
    pod = warm(1, node="cordoned")

    assert moved([pod], Pool(min=1, max=1)) == Plan({}, (pod,))


def test_a_pod_that_came_to_a_node_when_it_was_cordoned_stays_there() -> None:
    assert moved([warm(101, node="cordoned")], Pool(min=1, max=2)) == Plan()
