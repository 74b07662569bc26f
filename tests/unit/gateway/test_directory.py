"""The cache: what it takes over, and what of old news it leaves alone."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.fake_kube import FakeKube
from voicepod.gateway.directory import Directory
from voicepod.kube.client import VOICE_AGENTS, VOICE_SESSIONS, Object, Page, Resource

pytestmark = pytest.mark.unit


def agent(name: str = "ada", uid: str = "1", generation: int = 1, room: str = "lobby") -> Object:
    return {
        "metadata": {
            "namespace": "voice",
            "name": name,
            "uid": uid,
            "generation": generation,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "livekit": {"url": "ws://livekit", "credentialsSecretRef": {"name": "keys"}},
            "rooms": [{"name": room}],
        },
    }


def session(name: str = "one", uid: str = "1", version: int = 1, phase: str = "Pending") -> Object:
    return {
        "metadata": {
            "namespace": "voice",
            "name": name,
            "uid": f"session-{uid}",
            "resourceVersion": str(version),
        },
        "spec": {"agentRef": {"name": "ada"}, "room": "lobby"},
        "status": {"phase": phase},
    }


@pytest.fixture
def directory() -> Directory:
    return Directory()


def phases(directory: Directory) -> list[str]:
    return [session.phase for session in directory.sessions_in("lobby")]


def wants(directory: Directory, room: str) -> bool:
    return directory.agents["voice", "ada"].rules.claim(room, ()) is not None


def test_a_session_is_found_by_its_room(directory: Directory) -> None:
    directory.see_session(session())
    (found,) = directory.sessions_in("lobby")
    assert found.key == ("voice", "one")
    assert directory.sessions_in("elsewhere") == []
    assert directory.has_session(("voice", "one"))


def test_old_news_of_a_session_does_not_undo_newer(directory: Directory) -> None:
    directory.see_session(session(version=10, phase="Active"))
    directory.see_session(session(version=9, phase="Starting"))
    assert phases(directory) == ["Active"]


def test_a_session_that_is_deleted_is_gone(directory: Directory) -> None:
    directory.see_session(session())
    directory.see_session(session(version=2), deleted=True)
    assert directory.sessions_in("lobby") == []


def test_the_end_of_a_namesake_leaves_its_successor_alone(directory: Directory) -> None:
    directory.see_session(session(uid="2", version=5))
    directory.see_session(session(uid="1", version=4), deleted=True)
    directory.see_agent(agent(uid="2"))
    directory.see_agent(agent(uid="1"), deleted=True)
    assert len(phases(directory)) == 1
    assert ("voice", "ada") in directory.agents


def test_a_phase_that_only_a_newer_operator_knows_is_unfinished(directory: Directory) -> None:
    directory.see_session(session(phase="Queued"))
    (found,) = directory.sessions_in("lobby")
    assert not found.finished
    assert not found.ending


def test_an_agent_counts_as_it_is_now(directory: Directory) -> None:
    directory.see_agent(agent(room="lobby"))
    directory.see_agent(agent(room="hall", generation=2))
    assert wants(directory, "hall")
    directory.see_agent(agent(room="lobby", generation=1))
    assert wants(directory, "hall")
    directory.see_agent(agent(generation=2), deleted=True)
    assert directory.agents == {}


def test_an_agent_made_anew_under_its_old_name_counts(directory: Directory) -> None:
    directory.see_agent(agent(room="lobby", uid="1", generation=7))
    directory.see_agent(agent(room="hall", uid="2", generation=1))
    assert wants(directory, "hall")


def test_an_agent_that_is_not_understood_wants_nothing_and_is_named(
    directory: Directory, caplog: pytest.LogCaptureFixture
) -> None:
    directory.see_agent(agent())
    strange = agent(generation=2)
    strange["spec"]["livekit"]["url"] = "gopher://livekit"
    directory.see_agent(strange)
    assert directory.agents == {}
    assert "VoiceAgent voice/ada is not understood" in caplog.text


async def test_a_list_fills_it_and_drops_what_is_gone(directory: Directory) -> None:
    kube = FakeKube()
    directory.see_agent(agent("gone"))
    directory.see_session(session("gone"))
    kube.put(VOICE_AGENTS, "voice", agent())
    kube.put(VOICE_SESSIONS, "voice", session())
    assert not directory.filled
    assert await directory.fill(kube, []) == {(VOICE_SESSIONS, None): kube.version}
    assert directory.filled
    assert list(directory.agents) == [("voice", "ada")]
    assert [one.key for one in directory.sessions_in("lobby")] == [("voice", "one")]


async def test_what_is_made_during_a_list_is_not_dropped_by_it(directory: Directory) -> None:
    kube = FakeKube()

    async def meanwhile(_: object) -> None:
        directory.see_session(session("new"))
        directory.see_agent(agent("new"))

    kube.fault = meanwhile
    await directory.fill(kube, [])
    assert directory.has_session(("voice", "new"))
    assert ("voice", "new") in directory.agents


async def test_what_goes_during_a_list_does_not_come_back_by_it(directory: Directory) -> None:
    kube = FakeKube()
    kube.put(VOICE_AGENTS, "voice", agent())
    kube.put(VOICE_SESSIONS, "voice", session())
    pages = kube.pages

    async def late(resource: Resource, *arguments: Any, **more: Any) -> AsyncIterator[Page]:
        see = directory.see_agent if resource is VOICE_AGENTS else directory.see_session
        async for page in pages(resource, *arguments, **more):
            for raw in page.items:
                see(raw, deleted=True)
            yield page

    kube.pages = late  # type: ignore[assignment, method-assign]
    await directory.fill(kube, [])

    assert not directory.has_session(("voice", "one"))
    assert directory.agents == {}


async def test_only_the_given_namespaces_are_listed(directory: Directory) -> None:
    kube = FakeKube()
    await directory.fill(kube, ["one", "two"])
    assert {call.namespace for call in kube.calls} == {"one", "two"}


async def test_a_deleted_agent_is_remembered_until_its_last_call_is_over(
    directory: Directory,
) -> None:
    kube = FakeKube()
    kube.put(VOICE_SESSIONS, "voice", session(phase="Active"))
    directory.see_agent(agent())
    directory.see_agent(agent(), deleted=True)
    await directory.fill(kube, [])
    assert list(directory.departed) == [("voice", "ada")]
    kube.put(VOICE_SESSIONS, "voice", session(phase="Ended"))
    await directory.fill(kube, [])
    assert directory.departed == {}


def test_an_agent_that_comes_back_has_not_departed(directory: Directory) -> None:
    directory.see_agent(agent())
    directory.see_agent(agent(), deleted=True)
    directory.see_agent(agent(uid="2"))
    assert directory.departed == {}
    assert list(directory.agents) == [("voice", "ada")]


def test_a_session_made_anew_for_another_room_has_left_the_one_before(directory: Directory) -> None:
    directory.see_session(session())
    another = session(uid="2", version=2)
    another["spec"]["room"] = "parlour"
    directory.see_session(another)

    assert directory.sessions_in("lobby") == []
    assert [one.uid for one in directory.sessions_in("parlour")] == ["session-2"]
