"""Dataclasses to JSON objects and back, guided by their annotations alone.

A field that a message lacks takes its default; one that this version does not know is passed over:
so operator and sidecar may be of different versions. ``None`` is written as absence.
"""

import dataclasses
import enum
import functools
import types
import typing
from typing import Any, Self

from voicepod.assignment.errors import MessageError


class Message:
    """Base of the messages: frozen dataclasses of text, numbers, mappings and other messages."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of this message."""
        assert dataclasses.is_dataclass(self)
        return dataclasses.asdict(
            self, dict_factory=lambda items: {k: v for k, v in items if v is not None}
        )

    @classmethod
    def from_dict(cls, data: object) -> Self:
        """Return the message of a JSON object.

        Raises MessageError with the path of the field that is missing or of the wrong type.
        """
        message: Self = _decode(cls, data, cls.__name__)
        return message


def _decode(kind: Any, value: Any, path: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _decode_message(kind, _expect(dict, value, path), path)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        # The only unions of these messages are of something or None.
        return None if value is None else _decode(arguments[0], value, path)
    if origin is dict:
        items = _expect(dict, value, path).items()
        return {key: _decode(arguments[1], item, f"{path}.{key}") for key, item in items}
    if issubclass(kind, enum.Enum):
        try:
            return kind(value)
        except ValueError:
            raise MessageError(f"{path}: {value!r} is none of {[*kind]}") from None
    if kind is float and type(value) is int:
        return float(value)  # JSON has one kind of number
    return _expect(kind, value, path)


def _decode_message(kind: Any, data: dict[str, Any], path: str) -> Any:
    values = {}
    for field in dataclasses.fields(kind):
        where = f"{path}.{field.name}"
        if field.name in data:
            values[field.name] = _decode(_annotations(kind)[field.name], data[field.name], where)
        elif field.default is field.default_factory is dataclasses.MISSING:
            raise MessageError(f"{where} is missing")
    return kind(**values)


def _expect(kind: type, value: Any, path: str) -> Any:
    # Not isinstance: a bool is an int in Python, but not in JSON.
    if type(value) is not kind:
        raise MessageError(f"{path}: expected {kind.__name__}, got {type(value).__name__}")
    return value


@functools.cache
def _annotations(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)
