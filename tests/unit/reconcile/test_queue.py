"""The queue in a loop whose time is told by the test."""

import asyncio

import pytest

from tests.support.hours import in_hours, now
from voicepod.reconcile.queue import KeyedQueue

pytestmark = pytest.mark.unit


async def taken(queue: KeyedQueue[str], within: float = 1.0) -> str | None:
    """The next key, or None when none comes within so many of the loop's seconds."""
    try:
        return await asyncio.wait_for(queue.take(), within)
    except TimeoutError:
        return None


@in_hours
async def test_a_key_is_there_once_however_often_it_is_added() -> None:
    queue = KeyedQueue[str]()
    for _ in range(3):
        queue.add("a")

    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


@in_hours
async def test_keys_are_worked_on_in_the_order_they_came() -> None:
    queue = KeyedQueue[str]()
    for key in "bac":
        queue.add(key)

    assert [await taken(queue) for _ in range(3)] == ["b", "a", "c"]


@in_hours
async def test_no_two_workers_get_one_key() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    assert await taken(queue) == "a"

    queue.add("a")

    assert await taken(queue) is None


@in_hours
async def test_a_key_that_was_added_while_worked_on_comes_again() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    queue.add("a")
    queue.add("a")

    queue.done("a")

    assert await taken(queue) == "a"
    queue.done("a")
    assert await taken(queue) is None


@in_hours
async def test_what_nobody_waits_for_is_in_a_line_of_its_own_and_there_once() -> None:
    queue = KeyedQueue[str]()
    for key in ("a", "b", "a"):
        queue.add_patiently(key)

    assert await taken(queue) is None
    assert (queue.depth, queue.patient) == (0, 2)
    assert [await queue.take_patient() for _ in range(2)] == ["a", "b"]
    assert queue.patient == 0


@in_hours
async def test_a_key_of_the_second_line_that_is_asked_for_changes_over_to_the_first() -> None:
    queue = KeyedQueue[str]()
    queue.add_patiently("a")
    queue.add_patiently("b")

    queue.add("a")

    assert await taken(queue) == "a"
    queue.done("a")
    assert await queue.take_patient() == "b"
    assert await taken(queue) is None


@in_hours
async def test_a_key_of_the_second_line_is_never_with_two_workers() -> None:
    queue = KeyedQueue[str]()
    queue.add_patiently("a")
    await queue.take_patient()

    queue.add("a")

    assert await taken(queue) is None
    queue.done("a")
    assert await taken(queue) == "a"


@in_hours
async def test_what_is_forgotten_is_in_no_line_and_deadlines_stay() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    queue.add_patiently("b")
    queue.add_after("c", 0.5)

    queue.forget()

    assert (queue.depth, queue.patient) == (0, 0)
    assert await taken(queue) == "c"
    queue.add("a")
    assert await taken(queue) == "a"


@in_hours
async def test_many_workers_share_the_keys_and_never_one_of_them() -> None:
    queue = KeyedQueue[str]()
    busy: set[str] = set()
    worked: list[str] = []

    async def work() -> None:
        while True:
            key = await queue.take()
            assert key not in busy
            busy.add(key)
            await asyncio.sleep(0.1)
            busy.remove(key)
            worked.append(key)
            queue.done(key)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for _ in range(5):
        for key in "abc":
            queue.add(key)
        await asyncio.sleep(0.05)
    await asyncio.sleep(10)
    crashed = [worker for worker in workers if worker.done()]
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    assert not crashed
    assert set(worked) == {"a", "b", "c"}


@in_hours
async def test_a_key_comes_at_its_deadline_and_not_before() -> None:
    queue = KeyedQueue[str]()
    start = now()
    queue.add_after("a", 3600)

    assert await taken(queue, within=3599) is None
    assert await taken(queue, within=2) == "a"
    assert now() == start + 3600


@in_hours
async def test_of_two_deadlines_of_a_key_the_sooner_counts() -> None:
    queue = KeyedQueue[str]()
    start = now()
    queue.add_after("a", 60)
    queue.add_after("a", 10)
    queue.add_after("a", 30)

    assert await taken(queue, within=100) == "a"
    assert now() == start + 10
    queue.done("a")
    assert await taken(queue, within=100) is None


@in_hours
async def test_a_deadline_in_the_past_is_now() -> None:
    queue = KeyedQueue[str]()
    queue.add_after("a", -5)

    assert await taken(queue) == "a"


@in_hours
async def test_a_key_that_is_taken_forgets_the_deadline_it_had() -> None:
    queue = KeyedQueue[str]()
    queue.add_after("a", 10)
    queue.add("a")
    await taken(queue)
    queue.done("a")

    assert await taken(queue, within=100) is None


@in_hours
async def test_deadlines_of_many_keys_come_in_their_order() -> None:
    queue = KeyedQueue[str]()
    for key, delay in (("c", 30), ("a", 10), ("b", 20)):
        queue.add_after(key, delay)

    assert [await taken(queue, within=100) for _ in range(3)] == ["a", "b", "c"]


@in_hours
async def test_what_fails_comes_again_later_and_later_up_to_half_a_minute() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    delays = []
    for _ in range(12):
        failed = now()
        delays.append(queue.failed("a"))
        assert await taken(queue, within=100) == "a"
        assert now() == failed + delays[-1]

    full = [min(0.25 * 2**n, 30.0) for n in range(12)]
    assert all(most / 2 <= delay <= most for delay, most in zip(delays, full, strict=True))


@in_hours
async def test_after_a_success_a_key_fails_as_if_for_the_first_time() -> None:
    queue = KeyedQueue[str]()
    for _ in range(8):
        queue.add("a")
        await taken(queue)
        queue.failed("a")
    queue.add("a")
    await taken(queue)
    queue.done("a")
    queue.add("a")
    await taken(queue)

    assert queue.failed("a") <= 0.25


@in_hours
async def test_a_key_that_failed_comes_at_once_when_something_has_happened() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    queue.add("a")
    failed = now()
    queue.failed("a")

    assert await taken(queue) == "a"
    assert now() == failed


@in_hours
async def test_one_key_that_fails_does_not_hold_up_another() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    queue.failed("a")
    failed = now()
    queue.add("b")

    assert await taken(queue) == "b"
    assert now() == failed


async def passed(queue: KeyedQueue[str], *keys: str) -> None:
    """Have keys let others pass."""
    for key in keys:
        queue.add(key)
        assert await taken(queue) == key
        queue.let_pass(key)


@in_hours
async def test_what_lets_others_pass_is_for_those_who_take_it_in_its_turn() -> None:
    queue = KeyedQueue[str]()
    await passed(queue, "a", "b", "a")

    assert await taken(queue) is None
    assert queue.depth == 2
    assert [await queue.take_passed() for _ in range(2)] == ["a", "b"]
    assert queue.depth == 0


@in_hours
async def test_what_lets_others_pass_is_worked_on_once_if_it_can_wait_no_longer() -> None:
    queue = KeyedQueue[str]()
    await passed(queue, "a", "b")

    queue.add("a")

    assert await taken(queue) == "a"
    assert await queue.take_passed() == "b"
    assert queue.depth == 0


@in_hours
async def test_what_is_asked_for_anew_just_before_its_turn_is_worked_on_by_one() -> None:
    queue = KeyedQueue[str]()
    await passed(queue, "a")

    queue.add("a")

    assert await queue.take_passed() == "a"
    assert await taken(queue) is None
    assert queue.depth == 0


@in_hours
async def test_what_lets_others_pass_is_not_looked_at_patiently_and_is_forgotten_as_well() -> None:
    queue = KeyedQueue[str]()
    await passed(queue, "a")

    queue.add_patiently("a")
    assert (queue.depth, queue.patient) == (1, 0)

    queue.forget()
    assert queue.depth == 0


@in_hours
async def test_what_was_put_off_is_for_those_who_take_it() -> None:
    queue = KeyedQueue[str]()
    for key in "ab":
        queue.add(key)
        await taken(queue)
        queue.put_off(key)

    assert (queue.depth, queue.late) == (0, 2)
    assert [await queue.take_late() for _ in range(2)] == ["a", "b"]
    assert queue.late == 0
    assert await taken(queue) is None


@in_hours
async def test_what_was_put_off_is_there_at_once_if_it_is_asked_for_anew() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    queue.add("a")  # which the one that puts it off knows
    queue.put_off("a")
    assert await taken(queue) is None

    queue.add("a")

    assert await taken(queue) == "a"
    assert queue.late == 0


@in_hours
async def test_what_is_put_off_is_forgotten_as_well() -> None:
    queue = KeyedQueue[str]()
    queue.add("a")
    await taken(queue)
    queue.put_off("a")
    queue.forget()
    assert queue.late == 0


@in_hours
async def test_deadlines_that_count_no_more_are_not_kept_until_they_are_due() -> None:
    queue = KeyedQueue[str]()
    for _ in range(10_000):
        queue.add_after("call", 7200)
        queue.add("call")
        queue.done(await queue.take())
    queue.add_after("call", 60)

    assert len(queue._heap) < 1_010
    assert await taken(queue, within=61) == "call"
    assert await taken(queue, within=8_000) is None
