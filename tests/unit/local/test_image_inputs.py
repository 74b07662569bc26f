"""When an image is built again, and with which settings of the host's."""

from pathlib import Path

import pytest

from local.buildah import copied, inputs_key, pip_settings
from local.handover import full_name
from local.images import Image

pytestmark = pytest.mark.unit

DOCKERFILE = """\
ARG BASE_IMAGE=python:3.13-slim-trixie
FROM ${BASE_IMAGE} AS dependencies
COPY requirements.lock .
FROM ${BASE_IMAGE}
COPY --from=dependencies /venv /venv
COPY --chown=10001:10001 app \\
     assets /srv/
"""


@pytest.fixture
def image(tmp_path: Path) -> Image:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    (tmp_path / "requirements.lock").write_text("aiohttp==3.14.5\n")
    (tmp_path / "app" / "__pycache__").mkdir(parents=True)
    (tmp_path / "app" / "main.py").write_text("print('hello')\n")
    return Image("test/image:dev", tmp_path / "Dockerfile", tmp_path)


def test_the_inputs_are_what_copy_lines_take_from_the_context() -> None:
    assert list(copied(DOCKERFILE)) == ["requirements.lock", "app", "assets"]


def test_a_changed_source_file_changes_the_key(image: Image) -> None:
    before = inputs_key(image, "base:1")
    (image.context / "app" / "main.py").write_text("print('goodbye')\n")
    assert inputs_key(image, "base:1") != before


def test_a_renamed_source_file_and_another_base_change_the_key(image: Image) -> None:
    before = inputs_key(image, "base:1")
    assert inputs_key(image, "base:2") != before
    (image.context / "app" / "main.py").rename(image.context / "app" / "other.py")
    assert inputs_key(image, "base:1") != before


def test_bytecode_and_files_that_are_not_copied_leave_the_key(image: Image) -> None:
    before = inputs_key(image, "base:1")
    (image.context / "README.md").write_text("hello")
    (image.context / "app" / "__pycache__" / "main.pyc").write_bytes(b"\0")
    assert inputs_key(image, "base:1") == before


def test_pips_environment_wins_over_its_files() -> None:
    listing = ":env:.cert='/from/environment'\nglobal.cert='/from/file'\nglobal.timeout='60'\n"
    assert pip_settings(listing) == {"cert": "/from/environment", "timeout": "60"}


@pytest.mark.parametrize(
    ("name", "known_as"),
    [
        ("busybox:1", "docker.io/library/busybox:1"),
        ("voicepod/agent:dev", "docker.io/voicepod/agent:dev"),
        ("voicepod.local/sandbox:1", "voicepod.local/sandbox:1"),
        ("localhost:5000/agent:dev", "localhost:5000/agent:dev"),
    ],
)
def test_images_are_known_by_the_names_that_the_kubelet_asks_for(name: str, known_as: str) -> None:
    assert full_name(name) == known_as
