"""Writes what is generated in the chart: ``values.schema.json``, the dashboard, a copy of the CRDs.

The schema comes from ``values.yaml`` alone, so that no option is described in two places: the
comment above a key is its description, the default gives the type, and a comment line
``# @schema {…}`` adds what a default cannot say (in JSON Schema, as YAML in one line). A key that
``values.yaml`` does not have is refused, wherever the annotation does not allow it.
"""

import json
from pathlib import Path
from typing import Any, Final

import yaml

from charts.dashboard import dashboard
from voicepod.api.crd import write_crds

CHART: Final = Path(__file__).parent / "voicepod"

_ANNOTATION: Final = "@schema "

_TYPES: Final = {
    "tag:yaml.org,2002:str": "string",
    "tag:yaml.org,2002:bool": "boolean",
    "tag:yaml.org,2002:int": "integer",
    "tag:yaml.org,2002:map": "object",
    "tag:yaml.org,2002:seq": "array",
}

# What has to be said of a list or a map that is empty by default.
_CONTENTS: Final = {"array": "items", "object": "additionalProperties"}


def values_schema(text: str) -> dict[str, Any]:
    """Return the JSON Schema of a commented ``values.yaml``.

    Raises ValueError when a value has no description, or is empty and nothing says what it takes.
    """
    values = yaml.compose(text)
    assert values is not None
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the voicepod chart",
        **_schema(values, text.splitlines()),
    }


def _schema(node: yaml.Node, lines: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[node.tag]}
    if isinstance(node, yaml.MappingNode) and node.value:
        schema["additionalProperties"] = False
        schema["properties"] = {
            key.value: _described(key, value, lines) for key, value in node.value
        }
    return schema


def _described(key: yaml.Node, value: yaml.Node, lines: list[str]) -> dict[str, Any]:
    description, annotation = _comment(lines, above=key.start_mark.line)
    schema = {"description": description, **_schema(value, lines), **annotation}
    if not description:
        raise ValueError(f"{key.value}: no comment says what it is")
    if _CONTENTS.get(_TYPES[value.tag], "type") not in schema:
        raise ValueError(f"{key.value}: no @schema says what the empty list or map takes")
    return schema


def _comment(lines: list[str], above: int) -> tuple[str, dict[str, Any]]:
    """Return the sentences and the annotation of the comment right above a line."""
    words: list[str] = []
    annotation: dict[str, Any] = {}
    while above and lines[above - 1].lstrip().startswith("#"):
        above -= 1
        line = lines[above].strip().removeprefix("#").strip()
        if line.startswith(_ANNOTATION):
            annotation = yaml.safe_load(line.removeprefix(_ANNOTATION))
        else:
            words.insert(0, line)
    return " ".join(words), annotation


def main() -> None:
    """Write the schema, the dashboard and the CRDs into the chart."""
    _write("values.schema.json", values_schema((CHART / "values.yaml").read_text()))
    _write("files/dashboard.json", dashboard())
    write_crds(CHART / "files" / "crds")


def _write(name: str, content: dict[str, Any]) -> None:
    (CHART / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
