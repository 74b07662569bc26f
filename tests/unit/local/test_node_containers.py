"""What containerd says of the containers that run."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from local import node

pytestmark = pytest.mark.unit

TASKS = """\
TASK      PID      STATUS
one       11       RUNNING
two       12       STOPPED
other     13       RUNNING
"""


def test_containers_that_run_are_found_by_their_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def ctr(argv: Sequence[str | Path]) -> str:
        asked.append(str(argv[-1]))
        return TASKS if argv[-2] == "tasks" else "one\ntwo\n"

    monkeypatch.setattr(node, "run", ctr)
    assert node.containers("voice", named="agent") == {"one": 11}
    assert asked[0] == (
        'labels."io.kubernetes.pod.namespace"==voice,labels."io.kubernetes.container.name"==agent'
    )
