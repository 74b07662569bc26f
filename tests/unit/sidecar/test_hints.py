"""The operator hears that there is news, but never what."""

import asyncio

import pytest

from tests.support.waiting import until
from tests.unit.sidecar.fakes import Rig
from voicepod.sidecar import hints

pytestmark = pytest.mark.unit


async def test_a_hint_is_the_name_of_the_pod(pod: Rig) -> None:
    await pod.warm()
    await until(lambda: pod.operator.hints)
    assert pod.operator.hints == [{"namespace": "voice", "pod": "demo-1"}]


async def test_a_hint_is_tried_again(pod: Rig) -> None:
    pod.operator.busy = 2
    await pod.warm()
    await until(lambda: pod.operator.hints)


async def test_an_end_is_a_hint(pod: Rig) -> None:
    worker = await pod.running()
    await until(lambda: pod.operator.hints)
    before = len(pod.operator.hints)
    await worker.socket.close()
    await until(lambda: len(pod.operator.hints) > before)


async def test_a_hint_that_nobody_takes_is_given_up(
    pod: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hints, "_PAUSES", (0.0,))
    pod.operator.busy = 2
    await pod.warm()
    await until(lambda: "the operator did not take a hint: it answered 503" in caplog.text)
    assert pod.operator.hints == []
    pod.supervisor.request_room_deletion()
    await until(lambda: pod.operator.hints)


async def test_news_during_a_hint_are_one_more_hint(pod: Rig) -> None:
    pod.operator.busy = 1
    for _ in range(3):
        pod.supervisor.request_room_deletion()
        await asyncio.sleep(0)
    await until(lambda: pod.operator.hints)
    await until(lambda: pod.supervisor._hints._task and pod.supervisor._hints._task.done())
    assert len(pod.operator.hints) == 2


async def test_a_hint_reaches_the_operator_that_leads_by_way_of_one_that_stands_by(
    pod: Rig,
) -> None:
    pod.operator.leader = "/leader/hint"
    await pod.warm()
    await until(lambda: pod.operator.hints)
    assert pod.operator.hints == [{"namespace": "voice", "pod": "demo-1"}]
