"""What a caller asks for: the request of LiveKit's standard token endpoint, within its limits.

https://docs.livekit.io/frontends/build/authentication/endpoint
"""

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from voicepod.api.agent import MAX_ROOM_NAME

# Bytes that LiveKit takes by default of a name or an identity, and of metadata or all attributes
# together; some versions take more.
_MAX_NAME: Final = MAX_ROOM_NAME
_MAX_TEXT: Final = 64_000


def _at_most(limit: int) -> Callable[[str], str]:
    def check(value: str) -> str:
        if len(value.encode()) > limit:
            raise _error(f"must have at most {limit} bytes")
        return value

    return check


def _error(message: str) -> PydanticCustomError:
    return PydanticCustomError("voicepod", "{message}", {"message": message})


Name = Annotated[str, AfterValidator(_at_most(_MAX_NAME))]
Text = Annotated[str, AfterValidator(_at_most(_MAX_TEXT))]


def _attributes_at_most(attributes: dict[str, str]) -> dict[str, str]:
    if sum(len(part.encode()) for pair in attributes.items() for part in pair) > _MAX_TEXT:
        raise _error(f"must have at most {_MAX_TEXT} bytes, keys and values together")
    return attributes


class AgentDispatch(BaseModel):
    """An agent that the caller asks for. Its ``deployment`` is LiveKit Cloud's, and ignored."""

    agent_name: Name | None = None
    metadata: Text | None = None


class RoomConfig(BaseModel):
    """How the room is to be. The operator opens it: all that a caller may say is which agent."""

    model_config = ConfigDict(extra="allow")

    agents: Annotated[list[AgentDispatch], Field(max_length=1)] | None = None

    @model_validator(mode="after")
    def _nothing_else(self) -> "RoomConfig":
        # Some SDKs send fields that nobody set, as null or zero.
        if others := sorted(name for name, value in (self.model_extra or {}).items() if value):
            raise _error(f"can hold agents only; take out {', '.join(others)}"[:_MAX_NAME])
        return self


class TokenRequest(BaseModel):
    """Everything is optional, and "" or null mean the same as nothing."""

    room_name: Name | None = None
    participant_name: Name | None = None
    participant_identity: Name | None = None
    participant_metadata: Text | None = None
    participant_attributes: (
        Annotated[dict[str, str], AfterValidator(_attributes_at_most)] | None
    ) = None
    room_config: RoomConfig | None = None

    @property
    def agent(self) -> AgentDispatch:
        """The agent that the caller asks for; an empty one if for none."""
        agents = self.room_config.agents if self.room_config else None
        return agents[0] if agents else AgentDispatch()

    def overridden_by(self, other: "TokenRequest") -> "TokenRequest":
        """Return this request with the fields that the other one sets in their place."""
        return self.model_copy(
            update={name: getattr(other, name) for name in other.model_fields_set}
        )


def parse_request(body: bytes) -> TokenRequest:
    """Return the request in a body; an empty one asks for nothing in particular.

    Raises ValueError with a sentence that names the field and what would be right.
    """
    try:
        return TokenRequest.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field or 'the body'}: {first['msg']}") from None
