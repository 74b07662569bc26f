"""The CRDs in the chart, and that all that is generated is up to date."""

import json
from pathlib import Path

import pytest

from charts.generate import CHART, values_schema
from tests.unit.chart.helm import render
from voicepod.api.crd import headroom_priority, voice_agent_crd, voice_session_crd, write_crds

pytestmark = pytest.mark.unit


def test_the_crds_are_those_of_the_models() -> None:
    rendered = {
        crd["metadata"]["name"]: crd["spec"] for crd in render().of("CustomResourceDefinition")
    }
    assert rendered == {
        crd["metadata"]["name"]: crd["spec"] for crd in (voice_agent_crd(), voice_session_crd())
    }


def test_the_priority_class_of_placeholders_is_the_one_that_the_operator_names() -> None:
    priority = headroom_priority()
    rendered = render().one("PriorityClass", priority["metadata"]["name"], namespace=None)
    assert {**rendered, "metadata": priority["metadata"]} == priority


def test_crds_outlive_the_release_unless_said_otherwise() -> None:
    for keep, annotations in ((True, {"helm.sh/resource-policy": "keep"}), (False, None)):
        for crd in render(crds={"keep": keep}).of("CustomResourceDefinition"):
            assert crd["metadata"].get("annotations") == annotations


def test_crds_can_be_left_to_somebody_else() -> None:
    kinds = render(crds={"enabled": False}).kinds()
    assert not {"CustomResourceDefinition", "PriorityClass"} & kinds


def test_the_chart_s_copy_of_the_crds_is_up_to_date(tmp_path: Path) -> None:
    write_crds(tmp_path)
    copies = CHART / "files" / "crds"
    assert {file.name: file.read_text() for file in copies.iterdir()} == {
        file.name: file.read_text() for file in tmp_path.iterdir()
    }


def test_the_schema_is_up_to_date() -> None:
    written = json.loads((CHART / "values.schema.json").read_text())
    assert written == values_schema((CHART / "values.yaml").read_text())


def test_a_comment_is_a_description_and_a_default_gives_the_type() -> None:
    schema = values_schema("# How many,\n# at most.\n# @schema {minimum: 1}\nreplicas: 2\n")
    assert schema["properties"] == {
        "replicas": {"description": "How many, at most.", "type": "integer", "minimum": 1}
    }
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("replicas: 2\n", "replicas: no comment"),
        ("# Not of the key below.\n\nreplicas: 2\n", "replicas: no comment"),
        ("# What marks it.\nlabels: {}\n", "labels: no @schema"),
        ("# Where.\nnamespaces: []\n", "namespaces: no @schema"),
    ],
)
def test_a_value_that_nothing_describes_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        values_schema(text)
