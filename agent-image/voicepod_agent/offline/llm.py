"""The rules of the receptionist, in the form of a language model that AgentSession can ask."""

from typing import Any, Never

from livekit.agents import llm
from livekit.agents.types import (
    DEFAULT_API_CONNECT_OPTIONS,
    NOT_GIVEN,
    APIConnectOptions,
    NotGivenOr,
)
from livekit.agents.utils import shortuuid

from voicepod_agent.offline.receptionist import answer, resumption
from voicepod_runtime import RESUMPTION


class ReceptionistLLM(llm.LLM[Never]):
    """Answers by rules over the conversation.

    Tools make no difference to it, nor do instructions, but for the one to go on with a call.
    """

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """Stream the answer to the last message of the caller, or the greeting."""
        return _AnswerStream(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)


class _AnswerStream(llm.LLMStream):
    async def _run(self) -> None:
        messages = self._chat_ctx.messages()
        turns = [message for message in messages if message.role in ("user", "assistant")]
        said = [message.text_content or "" for message in turns if message.role == "user"]
        if messages and messages[-1].text_content == RESUMPTION:
            unanswered = bool(turns) and turns[-1].role == "user"
            text = resumption(said, unanswered)
        else:
            text = answer(said)
        delta = llm.ChoiceDelta(role="assistant", content=text)
        self._event_ch.send_nowait(llm.ChatChunk(id=shortuuid("answer_"), delta=delta))
