"""What is listed, what a list makes forgotten, and who is served before all of it is known."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.fake_kube import Call, FakeKube
from tests.support.hours import in_hours
from tests.unit.handlers.test_intake import (
    AGENT_SPEC,
    ALL_OF_DESK,
    BUDGET,
    CALL,
    DESK,
    POD,
    Desk,
    node,
)
from tests.unit.reconcile import pods
from tests.unit.reconcile.test_objects import SESSION
from voicepod.api.names import ANNOTATION_GENERATION, LABEL_AGENT, LABEL_SESSION
from voicepod.api.session import Phase
from voicepod.handlers.listing import Listing
from voicepod.kube.client import (
    NODES,
    PODS,
    VOICE_AGENTS,
    VOICE_SESSIONS,
    Object,
    Page,
    Resource,
)
from voicepod.kube.errors import Refused, Unavailable
from voicepod.reconcile.loop import Item

pytestmark = pytest.mark.unit


def _put(kube: FakeKube) -> None:
    kube.put(VOICE_AGENTS, "voice", {"metadata": {"name": "desk"}, "spec": AGENT_SPEC})
    kube.put(VOICE_SESSIONS, "voice", {"metadata": {"name": "call"}, "spec": SESSION["spec"]})
    kube.put(PODS, "voice", pods.made_from(pods.RUNS))


@in_hours
async def test_a_list_takes_over_everything_that_is_there() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)
    kube.put(PODS, "voice", {"metadata": {"name": "somebody-elses"}, "spec": {}})

    listed = await Listing(desk.intake, kube, []).everything()

    assert listed == {(VOICE_SESSIONS, None): kube.version, (PODS, None): kube.version}
    assert list(desk.world.agents) == [DESK]
    assert list(desk.world.records) == [CALL]
    assert list(desk.world.pods) == [POD]
    assert set(await desk.enqueued()) == {
        *ALL_OF_DESK,
        Item("session", CALL),
    }


@in_hours
async def test_a_list_forgets_what_vanished_while_no_watch_was_there_to_tell() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)
    await Listing(desk.intake, kube, []).everything()
    await desk.enqueued()
    for resource, name in ((VOICE_AGENTS, "desk"), (VOICE_SESSIONS, "call"), (PODS, "call-1")):
        kube.remove(resource, "voice", name)

    await Listing(desk.intake, kube, []).everything()

    assert (desk.world.agents, desk.world.records, desk.world.pods) == ({}, {}, {})
    assert Item("session", CALL) in await desk.enqueued()


@in_hours
async def test_only_the_namespaces_that_are_asked_for_are_listed() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)

    await Listing(desk.intake, kube, ["other", "another"]).everything()

    assert desk.world.records == {}
    asked = {call.namespace for call in kube.calls if call.plural != NODES.plural}
    assert asked == {"other", "another"}


@in_hours
async def test_a_list_finds_nodes_that_were_cordoned_or_not_any_more_without_a_word() -> None:
    desk, kube = Desk(), FakeKube()
    kube.put(NODES, "", node(cordoned=True))
    kube.put(NODES, "", node(cordoned=False, name="node-2"))
    await Listing(desk.intake, kube, []).everything()
    assert set(desk.world.cordoned) == {"node-1"}

    kube.put(NODES, "", node(cordoned=False))
    await Listing(desk.intake, kube, []).everything()
    assert desk.world.cordoned == {}


@in_hours
async def test_what_a_watch_has_told_of_nodes_during_a_list_is_newer() -> None:
    desk, kube = Desk(), FakeKube()
    kube.put(NODES, "", node(cordoned=True))
    await Listing(desk.intake, kube, []).everything()
    listed = kube.list_all

    async def slow_answer(*arguments: Any, **more: Any) -> Any:
        answer = await listed(*arguments, **more)
        desk.intake.node(node(cordoned=True), deleted=True)
        return answer

    kube.list_all = slow_answer  # type: ignore[method-assign]
    await Listing(desk.intake, kube, []).everything()

    assert desk.world.cordoned == {}


@in_hours
async def test_a_voiceagent_that_goes_during_a_list_does_not_come_back_by_it() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)
    pages = kube.pages

    async def late(resource: Resource, *arguments: Any, **more: Any) -> AsyncIterator[Page]:
        async for page in pages(resource, *arguments, **more):
            if resource is VOICE_AGENTS:
                for raw in page.items:
                    desk.intake.agent(raw, deleted=True)
            yield page

    kube.pages = late  # type: ignore[assignment, method-assign]
    await Listing(desk.intake, kube, []).everything()

    assert desk.world.agents == {}


@in_hours
async def test_nodes_that_may_not_be_seen_are_asked_for_once_and_the_rest_is_filled() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)

    async def forbidden(call: Call) -> None:
        if call.plural == NODES.plural:
            raise Refused("nodes is forbidden")

    kube.fault = forbidden
    for _ in range(2):
        await Listing(desk.intake, kube, []).everything()

    assert not desk.world.sees_nodes
    assert [call.plural for call in kube.calls].count(NODES.plural) == 1
    assert list(desk.world.pods) == [POD]


@in_hours
async def test_one_object_that_cannot_be_understood_does_not_hide_the_others() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)
    broken = {
        "name": "broken",
        "labels": {LABEL_AGENT: "desk", LABEL_SESSION: "call"},
        "annotations": {ANNOTATION_GENERATION: "first"},
    }
    kube.put(PODS, "voice", {"metadata": broken, "spec": {}})

    await Listing(desk.intake, kube, []).everything()

    assert list(desk.world.pods) == [POD]


@in_hours
async def test_what_is_known_already_makes_no_work_when_it_is_told_or_listed_again() -> None:
    desk, kube = Desk(), FakeKube()
    _put(kube)
    await Listing(desk.intake, kube, []).everything()
    await desk.enqueued()

    for raw in await kube.list_all(PODS, None):
        desk.intake.pod(raw, deleted=False)
    await Listing(desk.intake, kube, []).everything()

    assert await desk.enqueued() == []


def put_session(kube: FakeKube, name: str, phase: Phase) -> None:
    body = {"metadata": {"name": name}, "spec": SESSION["spec"], "status": {"phase": phase}}
    kube.put(VOICE_SESSIONS, "voice", body)


def put_pod(kube: FakeKube, name: str, session: str | None) -> None:
    raw = pods.made_from(pods.IS_READY)
    raw["metadata"]["name"] = name
    (owner,) = raw["metadata"]["ownerReferences"]
    if session is None:
        del raw["metadata"]["labels"][LABEL_SESSION]
        owner["kind"] = "VoiceAgent"
    else:
        raw["metadata"]["labels"][LABEL_SESSION] = session
        for found in kube.objects(VOICE_SESSIONS):
            if found["metadata"]["name"] == session:
                owner["uid"] = found["metadata"]["uid"]
    kube.put(PODS, "voice", raw)


def call(name: str) -> Item:
    return Item("session", ("voice", name))


class Restarted(Desk):
    """Who knows nothing of what is there: one who waits, three who do not, and their pods."""

    def __init__(self) -> None:
        super().__init__()
        self.kube = FakeKube()
        self.kube.put(VOICE_AGENTS, "voice", {"metadata": {"name": "desk"}, "spec": AGENT_SPEC})
        phases = {
            "talks": Phase.ACTIVE,
            "over": Phase.ENDED,
            "waits": Phase.PENDING,
            "leaves": Phase.ENDING,
        }
        for name, phase in phases.items():
            put_session(self.kube, name, phase)
        for name in (*phases, "gone"):
            put_pod(self.kube, f"{name}-1", name)
        put_pod(self.kube, "warm", None)
        self.listing = Listing(self.intake, self.kube, [])

    @property
    def pods(self) -> set[str]:
        """The pods that it knows."""
        return {name for _, name in self.world.pods}


@in_hours
async def test_who_waits_is_looked_at_before_the_pods_of_those_who_do_not_are_listed() -> None:
    desk = Restarted()

    listed = await desk.listing.first()
    desk.intake.take_over()

    version = desk.kube.version
    assert listed == {(VOICE_SESSIONS, None): version, (PODS, None): version}
    assert desk.pods == {"warm", "waits-1", "leaves-1"}
    assert desk.world.unlisted == {("voice", "talks"), ("voice", "over")}
    assert sorted(await desk.enqueued()) == [call("leaves"), call("waits")]


@in_hours
async def test_all_else_is_looked_at_when_it_is_listed() -> None:
    desk = Restarted()
    await desk.listing.first()
    desk.intake.take_over()
    await desk.enqueued()

    await desk.listing.rest()

    assert desk.pods == {"warm", "waits-1", "leaves-1", "talks-1", "over-1", "gone-1"}
    assert not desk.world.unlisted
    assert {*ALL_OF_DESK, BUDGET, call("over"), call("gone")} <= set(await desk.enqueued())
    assert await desk.queue.take_patient() == call("talks"), "it goes on, as far as is known"


@in_hours
async def test_who_comes_while_all_else_is_listed_is_served() -> None:
    desk = Restarted()
    await desk.listing.first()
    desk.intake.take_over()
    put_session(desk.kube, "comes", Phase.PENDING)

    for raw in desk.kube.objects(VOICE_SESSIONS):
        desk.intake.session(raw, deleted=False)

    assert ("voice", "comes") not in desk.world.unlisted
    assert call("comes") in await desk.enqueued()


@in_hours
async def test_who_goes_while_pods_are_listed_is_cleaned_up_after() -> None:
    desk = Restarted()
    await desk.listing.first()
    desk.intake.take_over()
    for raw in desk.kube.objects(VOICE_SESSIONS):
        if raw["metadata"]["name"] == "talks":
            desk.intake.session(raw, deleted=True)
    desk.kube.remove(PODS, "voice", "talks-1")
    await desk.enqueued()

    await desk.listing.rest()

    assert call("talks") in await desk.enqueued()


@in_hours
async def test_many_who_wait_are_asked_for_in_many_requests() -> None:
    desk = Restarted()
    many = [f"waits-{number}" for number in range(120)]
    for name in many:
        put_session(desk.kube, name, Phase.STARTING)
        put_pod(desk.kube, f"{name}-1", name)

    await desk.listing.first()

    assert desk.pods == {"warm", "waits-1", "leaves-1"} | {f"{name}-1" for name in many}


@in_hours
async def test_a_list_that_fails_is_begun_again_and_forgets_nothing_that_is_there() -> None:
    desk = Restarted()
    await desk.listing.everything()
    desk.kube.remove(PODS, "voice", "talks-1")
    fails = [True]

    async def fault(call: Call) -> None:
        if call.plural == PODS.plural and fails:
            fails.pop()
            raise Unavailable("it is away")

    await desk.listing.first()
    desk.kube.fault = fault
    with pytest.raises(Unavailable):
        await desk.listing.rest()
    assert "talks-1" in desk.pods
    await desk.listing.rest()

    assert desk.pods == {"warm", "waits-1", "leaves-1", "over-1", "gone-1"}


@pytest.mark.parametrize(
    ("resource", "name"), [(VOICE_SESSIONS, "talks"), (PODS, "talks-1"), (PODS, "warm")]
)
def test_what_is_told_to_be_gone_does_not_come_back_by_an_older_list(
    resource: Any, name: str
) -> None:
    @in_hours
    async def run() -> None:
        desk = Restarted()
        listed = desk.kube.pages

        async def told_meanwhile(*arguments: Any, **more: Any) -> Any:
            async for page in listed(*arguments, **more):
                for raw in [one for one in page.items if one["metadata"]["name"] == name]:
                    take = desk.intake.pod if resource == PODS else desk.intake.session
                    take(raw, deleted=True)
                yield page

        desk.kube.pages = told_meanwhile  # type: ignore[method-assign]
        await desk.listing.everything()

        known: set[Object | tuple[str, str]] = {*desk.world.pods, *desk.world.records}
        assert ("voice", name) not in known
        assert len(known) == 9

    run()
