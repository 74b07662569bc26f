"""What a stranger sees by kubectl alone."""

import pytest

from tests.cluster.stage import Stage

pytestmark = pytest.mark.cluster


async def test_explain_says_what_each_field_is(stage: Stage) -> None:
    for field, words in (
        ("voicesession", "One conversation in one LiveKit room"),
        ("voicesession.spec.room", "Name of the LiveKit room"),
        ("voicesession.spec.lifecycle.reconnectGrace", "0s to 1h"),
        ("voicesession.status.phase", "Where the session is on its way"),
        ("voiceagent.spec.template", "PodTemplateSpec"),
        ("voiceagent.spec.rooms.prefix", "name starts with this"),
    ):
        told = " ".join((await stage.kubectl("explain", field)).split())
        assert words in told


async def test_get_and_describe_tell_what_a_session_waits_for(stage: Stage) -> None:
    await stage.apply_session("early", "late")
    await stage.because("early", "AgentNotFound")
    await stage.event("early", "AgentNotFound")

    listed = await stage.kubectl("get", "vs", "early")
    described = await stage.kubectl("describe", "vs", "early")
    everything = await stage.kubectl("get", "voicepod")

    header, row = listed.splitlines()
    assert header.split() == ["NAME", "PHASE", "REASON", "ROOM", "AGENT", "POD", "AGE"]
    assert row.split()[:5] == [
        *("early", "Pending", "AgentNotFound"),
        *(f"{stage.namespace}/early", "late"),
    ]
    assert f"there is no VoiceAgent late in namespace {stage.namespace}" in described
    assert "Events:" in described
    assert "voicesession.voicepod.dev/early" in everything
