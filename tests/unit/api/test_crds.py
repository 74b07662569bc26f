"""The CRDs: what is committed is what the models say, and what the API server has to know."""

from pathlib import Path
from typing import Any

import pytest

from voicepod.api.crd import headroom_priority, voice_agent_crd, voice_session_crd, write_crds

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
CRDS = [voice_agent_crd(), voice_session_crd()]


def spec_of(crd: dict[str, Any], part: str = "spec") -> dict[str, Any]:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found: dict[str, Any] = schema["properties"][part]
    return found


def every(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Each schema within a schema, with its path."""
    inner = [(f"{path}.{name}", field) for name, field in schema.get("properties", {}).items()]
    if "items" in schema:
        inner.append((f"{path}[]", schema["items"]))
    return [(path, schema), *(found for place, field in inner for found in every(field, place))]


@pytest.mark.parametrize("folder", ["crds", "charts/voicepod/files/crds"])
def test_the_committed_crds_are_what_the_models_say(folder: str, tmp_path: Path) -> None:
    write_crds(tmp_path)

    generated = {path.name: path.read_text() for path in tmp_path.iterdir()}

    assert {path.name: path.read_text() for path in (ROOT / folder).iterdir()} == generated


@pytest.mark.parametrize("crd", CRDS, ids=["va", "vs"])
def test_every_field_of_a_resource_is_described(crd: dict[str, Any]) -> None:
    own = [
        (path, schema)
        for part in ("spec", "status")
        for path, schema in every(spec_of(crd, part), part)
        # A template is Kubernetes' own, and an item is described by its list.
        if ".template." not in path and not path.endswith("[]") and ".conditions[]" not in path
    ]

    assert [path for path, schema in own if not schema.get("description")] == []


@pytest.mark.parametrize("crd", CRDS, ids=["va", "vs"])
def test_schemas_are_structural(crd: dict[str, Any]) -> None:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]

    for path, part in every(schema):
        assert "type" in part, path
        assert not {"$ref", "anyOf", "title", "$defs"} & set(part), path
        assert part.get("additionalProperties") in (None, {"type": "string"}), path


@pytest.mark.parametrize("crd", CRDS, ids=["va", "vs"])
def test_the_status_is_a_subresource_and_has_no_default(crd: dict[str, Any]) -> None:
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}
    assert "default" not in spec_of(crd, "status")


def test_both_kinds_have_short_names_and_a_category() -> None:
    names = [crd["spec"]["names"] for crd in CRDS]

    assert [name["shortNames"] for name in names] == [["va"], ["vs"]]
    assert [name["categories"] for name in names] == [["voicepod"], ["voicepod"]]


@pytest.mark.parametrize("crd", CRDS, ids=["va", "vs"])
def test_every_printer_column_shows_a_field_that_is_there(crd: dict[str, Any]) -> None:
    version = crd["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[")[0].strip(".").split(".")
        if path[0] == "metadata":
            continue
        field = schema
        for name in path:
            field = field["properties"][name]
        assert field["type"] in ("string", "integer", "number", "array")


def test_an_agents_lifecycle_is_filled_in_even_where_it_is_left_out() -> None:
    lifecycle = spec_of(voice_agent_crd())["properties"]["lifecycle"]

    assert lifecycle["default"] == {}
    assert {name: field["default"] for name, field in lifecycle["properties"].items()} == {
        "startDeadline": "60s",
        "reconnectGrace": "10s",
        "idleTimeout": "0s",
        "maxDuration": "2h",
        "shutdownGrace": "10s",
        "maxReplacements": 3,
        "ttlAfterFinished": "1h",
    }


def test_a_sessions_lifecycle_is_never_filled_in_or_the_agents_would_not_count() -> None:
    lifecycle = spec_of(voice_session_crd())["properties"]["lifecycle"]

    assert [path for path, part in every(lifecycle) if "default" in part] == []


def test_no_part_of_a_status_is_there_before_it_is_written() -> None:
    for crd in (voice_agent_crd(), voice_session_crd()):
        status = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]

        objects = {n: part for n, part in status["properties"].items() if part["type"] == "object"}
        assert objects
        assert [name for name, part in objects.items() if "default" in part] == []


def test_what_a_session_is_about_cannot_be_changed() -> None:
    rules = [rule["rule"] for rule in spec_of(voice_session_crd())["x-kubernetes-validations"]]

    for field in ("agentRef", "room", "metadata"):
        assert f"self.{field} == oldSelf.{field}" in rules
    assert "self.end || !oldSelf.end" in rules


def test_every_duration_has_bounds() -> None:
    lifecycle = spec_of(voice_agent_crd())["properties"]["lifecycle"]

    rules = " ".join(rule["rule"] for rule in lifecycle["x-kubernetes-validations"])

    durations = lifecycle["properties"].keys() - {"maxReplacements"}
    assert all(f"duration(self.{name})" in rules for name in durations)


def test_a_template_keeps_what_only_kubernetes_knows() -> None:
    template = spec_of(voice_agent_crd())["properties"]["template"]

    assert template["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"]
    assert template["required"] == ["spec"]


def test_a_pool_has_bounds_and_none_is_kept_unless_it_is_asked_for() -> None:
    pool = spec_of(voice_agent_crd())["properties"]["pool"]

    assert [rule["rule"] for rule in pool["x-kubernetes-validations"]] == [
        "!has(self.max) || self.max >= self.min"
    ]
    for field in pool["properties"].values():
        assert (field["minimum"], field["maximum"]) == (0, 1000)
    assert pool["properties"]["min"]["default"] == 0


def test_headroom_has_the_bounds_of_a_pool_and_none_is_held_unless_it_is_asked_for() -> None:
    schemas = spec_of(voice_agent_crd())["properties"]
    headroom, least = (
        schemas["capacity"]["properties"]["headroom"],
        schemas["pool"]["properties"]["min"],
    )

    assert headroom["default"] == 0
    for bound in ("minimum", "maximum"):
        assert headroom[bound] == least[bound]


def test_placeholders_give_way_to_pods_of_no_priority_and_take_nobodys_place() -> None:
    priority = headroom_priority()

    assert priority["value"] < 0
    assert priority["preemptionPolicy"] == "Never"
    assert not priority.get("globalDefault")
