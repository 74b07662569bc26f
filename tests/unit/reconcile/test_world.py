from dataclasses import replace
from typing import Any

import pytest

from tests.unit.reconcile.scenes import KEY, NOON, SID, at, pod, session
from voicepod.api.agent import LiveKit, SecretRef, VoiceAgentSpec, VoiceAgentStatus
from voicepod.api.conditions import Reason
from voicepod.api.session import (
    AgentRef,
    Phase,
    Times,
    VoiceSessionSpec,
    VoiceSessionStatus,
)
from voicepod.reconcile.objects import Agent, Packed, Session
from voicepod.reconcile.world import World

pytestmark = pytest.mark.unit

DESK = ("voice", "desk")


def agent(name: str = "desk", url: str = "ws://livekit", version: int = 1) -> Agent:
    livekit = LiveKit(url=url, credentials_secret_ref=SecretRef(name="livekit"))
    spec = VoiceAgentSpec(livekit=livekit, template={})
    return Agent(("voice", name), f"{name}-uid", version, 1, spec, VoiceAgentStatus())


def named(name: str, created: float = 0, desk: str = "desk", **changes: Any) -> Session:
    values: dict[str, Any] = {"key": ("voice", name), "uid": f"{name}-uid", "created": at(created)}
    room, sid = changes.pop("room", "a room"), changes.pop("sid", SID)
    spec = VoiceSessionSpec(agent_ref=AgentRef(name=desk), room=room, room_sid=sid)
    packed = Packed.of(changes.pop("status", VoiceSessionStatus()))
    return replace(session(), **(values | {"spec": spec, "packed": packed} | changes))


def holder(world: World, name: str) -> str | None:
    found = world.room_holder(world.records[("voice", name)])
    return found.key[1] if found else None


def claimed() -> VoiceSessionStatus:
    return VoiceSessionStatus(phase=Phase.STARTING, times=Times(claimed=NOON))


@pytest.fixture
def world() -> World:
    world = World()
    world.put_agent(agent())
    return world


def test_an_older_version_of_an_agent_never_replaces_a_newer_one(world: World) -> None:
    newer = agent(version=7)
    world.put_agent(newer)
    world.put_agent(agent(version=6))

    assert world.agents[DESK] is newer


def test_a_status_that_was_written_leaves_the_spec_to_the_watch(world: World) -> None:
    elsewhere = agent(url="ws://elsewhere", version=9)
    world.put_status(replace(elsewhere, generation=2, status=VoiceAgentStatus(warm=3)))

    known = world.agents[DESK]
    assert (known.version, known.status.warm) == (9, 3)
    assert (known.generation, known.spec.livekit.url) == (1, "ws://livekit")


def test_a_status_of_an_agent_that_is_gone_or_of_another_one_is_nobodys(world: World) -> None:
    world.put_status(agent("gone", version=9))
    world.put_status(replace(agent(version=9), uid="another"))

    assert world.agents == {DESK: agent()}


def test_an_older_version_of_a_session_never_replaces_a_newer_one(world: World) -> None:
    newer = replace(session(), version=7)
    world.put_session(newer)
    world.put_session(replace(session(), version=6, deleting=True))

    assert world.records[KEY].session is newer


def test_an_older_version_of_a_pod_never_replaces_a_newer_one(world: World) -> None:
    newer = pod(version=7)
    world.put_pod(newer)
    world.put_pod(pod(version=6, ready=True))

    assert world.pods_of(session()) == [newer]


def test_a_session_of_the_same_name_and_another_uid_is_another_one(world: World) -> None:
    world.put_session(session())
    world.records[KEY].call_stale = True

    world.put_session(replace(session(), uid="another"))

    assert not world.records[KEY].call_stale
    assert [record.session.uid for record in world.sessions_of(DESK)] == ["another"]


def test_what_was_learned_of_a_session_outlives_its_new_versions(world: World) -> None:
    world.put_session(session())
    world.records[KEY].status = claimed()

    world.put_session(replace(session(), version=2))

    assert world.records[KEY].status == claimed()


def test_a_touched_annotation_makes_the_room_stale(world: World) -> None:
    world.put_session(session())
    world.put_session(replace(session(), version=2))
    assert not world.records[KEY].room_stale

    world.put_session(replace(session(), version=3, room_changed="EV_1"))
    world.put_session(replace(session(), version=4, room_changed="EV_1"))

    assert world.records[KEY].room_stale


def test_a_pod_that_ends_makes_the_room_stale_once(world: World) -> None:
    world.put_session(session())
    world.put_pod(pod())
    assert not world.records[KEY].room_stale

    world.put_pod(pod(version=2, finished=True))
    assert world.records[KEY].room_stale
    world.records[KEY].room_stale = False
    world.put_pod(pod(version=3, finished=True))

    assert not world.records[KEY].room_stale


def test_a_pod_that_is_gone_makes_the_room_stale(world: World) -> None:
    world.put_session(session())
    world.put_pod(pod())

    world.drop_pod(pod().key, pod().uid)

    assert world.pods_of(session()) == []
    assert world.records[KEY].room_stale


def test_a_pod_of_an_earlier_session_of_the_name_is_not_this_sessions() -> None:
    world = World()
    world.put_pod(pod(owner="an-earlier-session"))

    assert world.pods_of(session()) == []
    assert world.pods_named_for(KEY) == [pod(owner="an-earlier-session")]


def test_a_pod_is_not_dropped_for_another_one_that_had_its_name(world: World) -> None:
    world.put_pod(pod())

    world.drop_pod(pod().key, "another")

    assert world.pods_of(session()) == [pod()]


def test_the_newest_generation_of_pods_comes_first(world: World) -> None:
    for generation in (1, 3, 2):
        world.put_pod(pod(key=("voice", f"call-{generation}"), generation=generation))

    assert [one.generation for one in world.pods_of(session())] == [3, 2, 1]


def test_a_dropped_session_is_nobodys(world: World) -> None:
    world.put_session(session())
    world.drop_session(KEY)
    world.drop_session(KEY)

    assert world.sessions_of(DESK) == []
    assert KEY not in world.records


def test_the_only_session_of_a_room_has_it(world: World) -> None:
    world.put_session(named("one"))

    assert holder(world, "one") is None


def test_the_older_of_two_sessions_has_the_room(world: World) -> None:
    world.put_session(named("late", created=1))
    world.put_session(named("early", created=0))

    assert holder(world, "late") == "early"
    assert holder(world, "early") is None


def test_of_two_sessions_made_at_once_one_has_the_room(world: World) -> None:
    world.put_session(named("b"))
    world.put_session(named("a"))

    assert (holder(world, "a"), holder(world, "b")) == (None, "a")


def test_of_two_made_at_once_the_one_that_a_webhook_made_does_not_have_the_room(
    world: World,
) -> None:
    world.put_session(named("a", sid="RM_1"))
    world.put_session(named("b", sid=""))

    assert (holder(world, "a"), holder(world, "b")) == ("b", None)


def test_a_session_that_has_its_pod_keeps_the_room_from_an_older_one(world: World) -> None:
    world.put_session(named("early", created=0))
    world.put_session(named("late", created=1, status=claimed()))

    assert (holder(world, "early"), holder(world, "late")) == ("late", None)


@pytest.mark.parametrize(
    "over",
    [
        VoiceSessionStatus(phase=Phase.ENDED),
        VoiceSessionStatus(phase=Phase.FAILED),
        VoiceSessionStatus(phase=Phase.ENDING, end_reason=Reason.CALLER_LEFT),
    ],
)
def test_a_session_that_is_over_holds_no_room(world: World, over: VoiceSessionStatus) -> None:
    world.put_session(named("early", status=over))
    world.put_session(named("late", created=1))

    assert holder(world, "late") is None


def test_a_later_room_of_the_same_name_is_another_room(world: World) -> None:
    world.put_session(named("early"))
    world.put_session(named("late", created=1, sid="RM_2"))

    assert holder(world, "late") is None


def test_a_session_that_names_no_sid_means_whatever_room_has_its_name(world: World) -> None:
    world.put_session(named("early"))
    world.put_session(named("late", created=1, sid=""))

    assert holder(world, "late") == "early"


def test_rooms_of_two_livekit_servers_are_two_rooms(world: World) -> None:
    world.put_agent(agent("other", url="ws://elsewhere"))
    world.put_session(named("early"))
    world.put_session(named("late", created=1, desk="other", sid=""))

    assert holder(world, "late") is None


def test_two_agents_of_one_livekit_share_its_rooms(world: World) -> None:
    world.put_agent(agent("other"))
    world.put_session(named("early"))
    world.put_session(named("late", created=1, desk="other"))

    assert holder(world, "late") == "early"


def test_a_session_holds_its_room_though_its_agent_was_deleted(world: World) -> None:
    world.put_agent(agent("other"))
    world.put_session(named("early", status=claimed()))
    world.put_session(named("late", created=1, desk="other"))
    world.records[("voice", "early")].agent_spec = agent().spec

    world.drop_agent(DESK)

    assert holder(world, "late") == "early"


def test_the_time_to_refill_begins_with_a_pods_place_on_a_node(world: World) -> None:
    warm = {"session": None, "ready": True, "ready_since": at(63)}
    world.put_pod(pod(placed=at(60), **warm))
    assert world.demands[DESK].refill_seconds == 3, "it waited for a node before"

    world.put_pod(pod(key=("voice", "call-2"), **warm))
    assert world.demands[DESK].refill_seconds == 63, "nobody says when it got its place"


def test_the_time_to_refill_has_in_it_what_it_takes_to_make_room(world: World) -> None:
    world.put_pod(pod(version=1, session=None, placed=at(60)))
    world.put_pod(pod(version=2, session=None, placed=at(62)))
    world.put_pod(pod(version=3, session=None, placed=at(62), ready=True, ready_since=at(63)))

    assert world.demands[DESK].refill_seconds == 3


def test_the_time_to_refill_has_no_room_in_it_that_was_given_to_another(world: World) -> None:
    world.put_pod(pod(version=1, session=None, placed=at(0)))
    world.put_pod(pod(version=2, session=None, placed=None))
    world.put_pod(pod(version=3, session=None, placed=at(60), ready=True, ready_since=at(63)))

    assert world.demands[DESK].refill_seconds == 3


def test_a_pod_that_is_put_is_the_very_one_that_is_kept(world: World) -> None:
    waiting = pod(session=None, placed=at(60))
    world.put_pod(waiting)
    going = replace(waiting, deleting=True)
    world.put_pod(going)

    assert world.pods[going.key] is going, "who could not delete it looks whether it still is"


def test_a_pod_that_is_claimed_is_its_sessions_and_idle_no_more(world: World) -> None:
    world.put_pod(pod(session=None))
    assert (world.idle_pods(DESK), world.pods_named_for(KEY)) == ([pod(session=None)], [])

    world.put_pod(pod(version=2))
    assert (world.idle_pods(DESK), world.pods_named_for(KEY)) == ([], [pod(version=2)])

    world.drop_pod(pod().key, pod().uid)
    assert (world.idle_pods(DESK), world.pods_named_for(KEY)) == ([], [])


def test_a_node_has_the_calls_of_the_pods_that_run_there(world: World) -> None:
    world.put_pod(pod())
    world.put_pod(pod(key=("voice", "over-1"), uid="over", finished=True))
    world.put_pod(pod(key=("voice", "desk-1"), uid="warm", session=None))

    assert world.calls_on("node-1") == 1
    assert world.live_pods_on("node-1") == [pod()]
    world.drop_pod(pod().key, pod().uid)
    assert world.calls_on("node-1") == 0
    assert world.live_pods_on("node-1") == []


def counted(world: World) -> dict[Phase, int]:
    return {phase: count for phase, count in world.roster_of(DESK).phases.items() if count}


def test_the_sessions_of_an_agent_are_counted_as_they_come_change_and_go(world: World) -> None:
    world.put_session(named("first"))
    world.put_session(named("second", created=5))
    assert counted(world) == {Phase.PENDING: 2}
    assert world.roster_of(DESK).last == at(5)

    world.records[("voice", "first")].status = VoiceSessionStatus(phase=Phase.ACTIVE)
    assert counted(world) == {Phase.PENDING: 1, Phase.ACTIVE: 1}

    world.start_over()
    assert counted(world) == {Phase.PENDING: 2}

    second = world.records[("voice", "second")]
    world.drop_session(("voice", "second"))
    # Whoever has worked on it until now.
    second.status = VoiceSessionStatus(phase=Phase.STARTING)
    assert counted(world) == {Phase.PENDING: 1}
    world.drop_session(("voice", "first"))
    assert world.rosters() == {}


def test_a_record_that_rests_knows_what_it_knew(world: World) -> None:
    world.put_session(session())
    record = world.records[KEY]
    record.status = claimed()

    record.rest()

    assert record.phase is claimed().phase
    assert record.status == claimed()


def test_an_older_session_or_pod_never_takes_its_name_back(world: World) -> None:
    world.put_session(replace(session(), uid="second", version=9))
    world.put_session(replace(session(), uid="first", version=8))
    world.put_pod(replace(pod(), uid="second", version=9))
    world.put_pod(replace(pod(), uid="first", version=8))

    assert world.records[KEY].session.uid == "second"
    assert world.pods[pod().key].uid == "second"


@pytest.mark.parametrize("hint", ["room_stale", "call_stale"])
def test_a_call_that_somebody_gave_a_hint_of_is_not_calm(world: World, hint: str) -> None:
    world.put_session(replace(session(), packed=Packed.of(VoiceSessionStatus(phase=Phase.ACTIVE))))
    world.put_pod(replace(pod(), ready=True))
    record = world.records[KEY]
    assert world.is_calm(record)

    setattr(record, hint, True)

    assert not world.is_calm(record)
