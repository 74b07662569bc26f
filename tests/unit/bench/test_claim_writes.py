"""Who writes what to the API server: by its counters, and by its audit log."""

import json
from typing import Any

import pytest

from bench.claim.writes import Write, audited, counted

pytestmark = pytest.mark.unit

METRICS = """\
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",dry_run="",group="",resource="pods",verb="LIST"} 70
apiserver_request_total{code="200",dry_run="",group="",resource="pods",verb="PATCH"} 3
apiserver_request_total{code="404",dry_run="",group="",resource="pods",verb="DELETE"} 1
apiserver_request_total{code="201",dry_run="All",group="",resource="pods",verb="POST"} 20
apiserver_request_total{code="201",dry_run="",group="voicepod.dev",resource="x",verb="POST"} 1e+06
apiserver_request_total{code="201",dry_run="",group="authorization.k8s.io",verb="POST"} 9
apiserver_request_duration_seconds_count{dry_run="",group="",resource="pods",verb="PATCH"} 5
"""


def _line(user: str, verb: str, uri: str = "/", **ref: str) -> bytes:
    event: dict[str, Any] = {"user": {"username": user}, "verb": verb, "requestURI": uri}
    return json.dumps({**event, "objectRef": ref}).encode()


def test_counts_writes_that_failed_but_no_reads_questions_and_dry_runs() -> None:
    assert counted(METRICS) == 1_000_004


def test_the_audit_log_tells_writers_apart() -> None:
    operator = "system:serviceaccount:voicepod-system:operator"
    controller = "system:serviceaccount:kube-system:generic-garbage-collector"
    lines = [
        _line(operator, "patch", resource="voicesessions", subresource="status"),
        _line(operator, "patch", resource="voicesessions", subresource="status"),
        _line(operator, "create", "/api/v1/pods?dryRun=All", resource="pods"),
        _line(controller, "delete", resource="pods"),
        _line(controller, "create", resource="tokenreviews", apiGroup="authentication.k8s.io"),
    ]
    assert audited(lines) == {
        Write("operator", "patch", "voicesessions/status"): 2,
        Write("controllers", "delete", "pods"): 1,
    }
