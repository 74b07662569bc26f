"""The agent's own LiveKit API client, unmodified, against the sidecar."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from livekit import api
from livekit.protocol import models, room

from tests.support.waiting import until
from tests.unit.sidecar.fakes import HOST, IDENTITY, ROOM, Rig

pytestmark = pytest.mark.unit


@asynccontextmanager
async def api_of(pod: Rig) -> AsyncIterator[api.LiveKitAPI]:
    async with api.LiveKitAPI(f"ws://{HOST}:{pod.agent_port}", "voicepod", "s" * 32) as client:
        yield client


async def post_json(pod: Rig, method: str, body: Any) -> tuple[int, dict[str, Any]]:
    url = f"http://{HOST}:{pod.agent_port}/twirp/livekit.RoomService/{method}"
    data = body if isinstance(body, str) else json.dumps(body)
    async with pod.http.post(
        url, data=data, headers={"Content-Type": "application/json"}
    ) as response:
        return response.status, await response.json()


async def test_calls_for_the_own_room_go_on_with_the_rooms_token(pod: Rig) -> None:
    await pod.running()
    async with api_of(pod) as client:
        asked = api.RoomParticipantIdentity(room=ROOM, identity="caller")
        await client.room.remove_participant(asked)
    [(method, authorization, body)] = pod.livekit.calls
    assert method == "RemoveParticipant"
    assert authorization == "Bearer room-token"
    assert room.RoomParticipantIdentity.FromString(body) == asked


async def test_the_answer_of_livekit_comes_back(pod: Rig) -> None:
    await pod.running()
    pod.livekit.join(models.TrackType.AUDIO)
    async with api_of(pod) as client:
        there = await client.room.list_participants(api.ListParticipantsRequest(room=ROOM))
    assert [each.identity for each in there.participants] == [IDENTITY]


async def test_json_goes_through_as_it_is(pod: Rig) -> None:
    await pod.running()
    assert await post_json(pod, "SendData", {"room": ROOM, "data": "aGk="}) == (200, {})
    [(method, _, body)] = pod.livekit.calls
    assert method == "SendData"
    assert json.loads(body) == {"room": ROOM, "data": "aGk="}


async def test_other_rooms_are_out_of_reach(pod: Rig) -> None:
    await pod.running()
    async with api_of(pod) as client:
        with pytest.raises(api.TwirpError, match="the agent's own room 'the room'") as caught:
            await client.room.remove_participant(
                api.RoomParticipantIdentity(room="another", identity="caller")
            )
        assert (caught.value.code, caught.value.status) == ("permission_denied", 403)
        with pytest.raises(api.TwirpError, match="permission_denied"):
            await client.room.delete_room(api.DeleteRoomRequest(room="another"))
    assert pod.livekit.calls == []
    assert not pod.supervisor.pod.room_deletion_requested


async def test_what_no_token_limits_to_a_room_is_out_of_reach(pod: Rig) -> None:
    await pod.running()
    async with api_of(pod) as client:
        with pytest.raises(api.TwirpError, match="CreateRoom is not open to an agent"):
            await client.room.create_room(api.CreateRoomRequest(name=ROOM))
        with pytest.raises(api.TwirpError, match=r"livekit\.SIP is not open to an agent"):
            await client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    assert pod.livekit.calls == []


async def test_deleting_the_own_room_is_left_to_the_operator(pod: Rig) -> None:
    await pod.running()
    hints = len(pod.operator.hints)
    async with api_of(pod) as client:
        await client.room.delete_room(api.DeleteRoomRequest(room=ROOM))
    assert pod.supervisor.pod.status().room_deletion_requested
    assert pod.livekit.calls == []
    await until(lambda: len(pod.operator.hints) > hints)


@pytest.mark.parametrize("names", [[], [ROOM, "another"]])
async def test_the_own_room_is_the_only_one_there_is(pod: Rig, names: list[str]) -> None:
    await pod.running()
    pod.livekit.join(models.TrackType.AUDIO)
    async with api_of(pod) as client:
        listed = await client.room.list_rooms(api.ListRoomsRequest(names=names))
    assert [(each.name, each.sid) for each in listed.rooms] == [(ROOM, "RM_1")]
    assert (listed.rooms[0].num_participants, listed.rooms[0].num_publishers) == (1, 1)


async def test_other_rooms_are_not_listed(pod: Rig) -> None:
    await pod.running()
    async with api_of(pod) as client:
        listed = await client.room.list_rooms(api.ListRoomsRequest(names=["another"]))
    assert list(listed.rooms) == []


async def test_answers_made_here_are_json_where_json_was_asked(pod: Rig) -> None:
    await pod.running()
    status, answer = await post_json(pod, "ListRooms", {})
    assert status == 200
    assert answer["rooms"][0]["name"] == ROOM
    assert answer["rooms"][0]["num_participants"] == 0


async def test_before_the_call_there_is_no_room(pod: Rig) -> None:
    await pod.warm()
    async with api_of(pod) as client:
        with pytest.raises(api.TwirpError, match="this pod has no call yet"):
            await client.room.list_rooms(api.ListRoomsRequest())


@pytest.mark.parametrize("body", ["{", '{"room": 7}'])
async def test_a_malformed_call_is_told_so(pod: Rig, body: str) -> None:
    await pod.running()
    status, answer = await post_json(pod, "SendData", body)
    assert (status, answer["code"]) == (400, "malformed")


async def test_a_call_of_no_known_type_is_told_so(pod: Rig) -> None:
    await pod.running()
    url = f"http://{HOST}:{pod.agent_port}/twirp/livekit.RoomService/SendData"
    async with pod.http.post(url, data=b"", headers={"Content-Type": "text/plain"}) as response:
        assert response.status == 400


async def test_an_unreachable_livekit_is_told_so(pod: Rig) -> None:
    await pod.running(livekit_url="ws://127.0.0.1:1")
    status, answer = await post_json(pod, "SendData", {"room": ROOM})
    assert (status, answer["code"]) == (503, "unavailable")
    status, answer = await post_json(pod, "ListRooms", {})
    assert (status, answer["code"]) == (503, "unavailable")
