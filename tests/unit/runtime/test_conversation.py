"""A conversation, handed from one agent to the next and the next."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents import llm

import voicepod_runtime
from voicepod_runtime import exported, merged, restored

pytestmark = pytest.mark.unit


def items() -> st.SearchStrategy[llm.ChatItem]:
    times = st.floats(min_value=0, max_value=2e9)
    messages = st.builds(
        llm.ChatMessage,
        role=st.sampled_from(["user", "assistant"]),
        content=st.lists(st.text(), max_size=2),
        created_at=times,
    )
    calls = st.builds(
        llm.FunctionCall,
        call_id=st.text(),
        arguments=st.text(),
        name=st.text(),
        created_at=times,
    )
    outputs = st.builds(
        llm.FunctionCallOutput,
        call_id=st.text(),
        output=st.text(),
        is_error=st.booleans(),
        created_at=times,
    )
    return messages | calls | outputs


histories = st.lists(items(), max_size=5)


def ids(items: Sequence[llm.ChatItem]) -> list[str]:
    return [item.id for item in items]


@given(st.lists(histories, max_size=5))
def test_whatever_was_said_is_there_once_and_in_its_order(agents: list[list[llm.ChatItem]]) -> None:
    past: list[llm.ChatItem] = []
    for history in agents:
        # An agent that hands over to another one in its own session keeps what it was given.
        past = restored(exported(merged(past, history)))
    assert ids(past) == [item.id for history in agents for item in history]


@given(histories, histories)
def test_what_both_have_is_there_once(past: list[llm.ChatItem], new: list[llm.ChatItem]) -> None:
    assert ids(merged(past, [*past, *new])) == ids([*past, *new])


@given(histories)
def test_what_was_said_is_what_the_next_one_knows(history: list[llm.ChatItem]) -> None:
    before = [item.model_dump(exclude={"created_at", "metrics"}) for item in history]
    after = [
        item.model_dump(exclude={"created_at", "metrics"}) for item in restored(exported(history))
    ]
    assert after == before


@given(histories)
def test_nothing_was_said_in_the_future(history: list[llm.ChatItem]) -> None:
    context = llm.ChatContext(restored(exported(history)))
    new = context.add_message(role="user", content="Hello?")
    assert context.find_insertion_index(created_at=new.created_at) == len(context.items)


@given(st.lists(items(), max_size=20), st.integers(min_value=12, max_value=5000))
def test_of_a_long_conversation_the_newest_part_is_kept(
    history: list[llm.ChatItem], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voicepod_runtime, "_MAX_CHECKPOINT", most)
        text = exported(history)
    assert len(text.encode()) <= most
    kept = [item["id"] for item in json.loads(text)["items"]]
    assert kept == ids(history)[len(history) - len(kept) :]


def test_an_hour_of_talk_is_kept_whole() -> None:
    history: list[llm.ChatItem] = [
        llm.ChatMessage(
            role=role, content=["Fifteen words, as many as a turn of a spoken call has. " * 2]
        )
        for _ in range(300)
        for role in ("user", "assistant")
    ]
    assert len(restored(exported(history))) == 600


def test_there_may_have_been_nothing() -> None:
    assert restored("") == []
