"""Structural OpenAPI v3 schemas, as CRDs want them, from pydantic models.

Pydantic writes JSON Schema with ``$ref`` and ``anyOf [X, null]``; a CRD wants everything in place
and knows ``default`` and CEL rules. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

# What JSON Schema has and a structural schema has not, or what is of no use to a reader.
_DROPPED = ("title", "$defs")


def structural_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(raw, raw.get("$defs", {}))


def _structural(schema: Schema, definitions: Schema, keep_defaults: bool = True) -> Schema:
    keep_defaults = keep_defaults and not schema.get("x-voicepod-no-defaults")
    if "$ref" in schema:
        # The field's own description and default stand before those of the model behind it.
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        schema = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
    if "anyOf" in schema:
        (some,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
        optional = _structural({**some, **rest}, definitions, keep_defaults)
        # What is left out is not there, whatever defaults there are within.
        optional.pop("default", None)
        return optional
    result: Schema = {}
    for key, value in schema.items():
        if key in _DROPPED or key == "x-voicepod-no-defaults":
            continue
        if key == "additionalProperties" and isinstance(value, bool):
            # Pydantic says it of every dict and model; a CRD prunes instead.
            continue
        if key == "default":
            if keep_defaults and value is not None:
                result[key] = value
        elif key == "properties":
            result[key] = {
                name: _structural(field, definitions, keep_defaults)
                for name, field in value.items()
            }
        elif key == "items":
            result[key] = _structural(value, definitions, keep_defaults)
        else:
            result[key] = value
    if (
        "properties" in result
        and "default" not in result
        and keep_defaults
        and _all_optional(result)
    ):
        # So that the defaults within are filled in even where the whole object is left out.
        result["default"] = {}
    return result


def _all_optional(schema: Schema) -> bool:
    return not schema.get("required") and any("default" in f for f in schema["properties"].values())
