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

from voicepod_agent.offline.receptionist import answer


class ReceptionistLLM(llm.LLM[Never]):
    """Answers by rules over the conversation; instructions and tools make no difference to it."""

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
        said = [
            message.text_content or ""
            for message in self._chat_ctx.messages()
            if message.role == "user"
        ]
        delta = llm.ChoiceDelta(role="assistant", content=answer(said))
        self._event_ch.send_nowait(llm.ChatChunk(id=shortuuid("answer_"), delta=delta))
