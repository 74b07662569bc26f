import pytest
from livekit.agents import Agent, AgentSession, llm

from voicepod_agent.offline.llm import ReceptionistLLM
from voicepod_agent.offline.receptionist import GREETING

pytestmark = pytest.mark.unit


async def reply(context: llm.ChatContext) -> str:
    async with ReceptionistLLM().chat(chat_ctx=context) as stream:
        return (await stream.collect()).text


async def test_the_greeting_follows_instructions_alone() -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="Greet the caller, whose name is Robert.")

    assert await reply(context) == GREETING


async def test_the_history_of_another_agent_is_gone_on_with() -> None:
    history = llm.ChatContext.empty()
    history.add_message(role="assistant", content=GREETING)
    history.add_message(role="user", content="My name is Robert.")
    restored = llm.ChatContext.from_dict(history.to_dict())
    restored.add_message(role="user", content="What is my name?")

    assert await reply(restored) == "Your name is Robert."


async def test_a_session_holds_a_conversation_by_it() -> None:
    async with AgentSession[None](llm=ReceptionistLLM(), vad=None) as session:
        await session.start(Agent(instructions="You work in a cafe."))
        await session.run(user_input="My name is Robert.")
        await session.run(user_input="What is my name?")

    answer = session.history.messages()[-1]
    assert (answer.role, answer.text_content) == ("assistant", "Your name is Robert.")
