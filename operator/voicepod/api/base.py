"""The base of every model: snake_case in Python, camelCase in YAML."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A part of a resource. Unknown fields are ignored: the API server prunes them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    def to_yaml(self) -> dict[str, Any]:
        """Return the plain JSON form, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rfc3339(moment: datetime) -> str:
    """Return a moment in UTC with milliseconds."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


Time = Annotated[datetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""A moment, written in UTC with milliseconds: what a call is made of is shorter than a second."""


def from_unix(moment: float) -> datetime:
    """Return unix seconds as a moment in UTC."""
    return datetime.fromtimestamp(moment, UTC)
