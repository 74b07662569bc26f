"""How often the API server was written to, by its own counters; and by whom, by its audit log."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local.run import run
from local.scale.site import ACCOUNTS, AUDIT_LOG, KWOK, PLANE, SYSTEM

_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch", "APPLY": "patch"}
_WRITES |= {"DELETE": "delete", "DELETECOLLECTION": "deletecollection"}

# Questions that are POSTed, and change nothing.
_QUESTIONS = ("authentication.k8s.io", "authorization.k8s.io")

_COUNTER = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

_NAMES = {f"system:serviceaccount:{SYSTEM}:{name}": name for name in ACCOUNTS} | {KWOK: "kwok"}
_NAMES |= {"system:kube-scheduler": "scheduler", "system:apiserver": "API server"}

OWN = frozenset(ACCOUNTS)
"""Whose writes are ours: a session is created by the gateway, whose place the callers take."""


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of write."""

    who: str
    verb: str
    what: str
    """The resource, with its subresource."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the counters showed at one moment."""

    counted: int
    """All writes since the API server started."""
    audited: int
    """Bytes of the audit log until then."""


def read() -> Reading:
    """Read the counters."""
    audited = AUDIT_LOG.stat().st_size
    return Reading(counted(run([*PLANE.kubectl, "get", "--raw=/metrics"])), audited)


def counted(metrics: str) -> int:
    """Return the writes in the text of the API server's metrics; a dry run is none."""
    total = 0
    for labels, value in _COUNTER.findall(metrics):
        label = dict(_LABEL.findall(labels))
        if label["verb"] in _WRITES and not label["dry_run"] and label["group"] not in _QUESTIONS:
            total += int(float(value))
    return total


def between(first: Reading, last: Reading) -> Counter[Write]:
    """Return who wrote what between two readings."""
    with AUDIT_LOG.open("rb") as log:
        log.seek(first.audited)
        return audited(log.read(last.audited - first.audited).splitlines())


def audited(lines: Iterable[bytes]) -> Counter[Write]:
    """Return the writes in lines of the audit log."""
    return Counter(write for line in lines if (write := _write(json.loads(line))))


def _write(event: Any) -> Write | None:
    ref = event.get("objectRef", {})
    if (
        event["verb"] not in _WRITES.values()
        or ref.get("apiGroup") in _QUESTIONS
        or "dryRun=" in event["requestURI"]
    ):
        return None
    what = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
    return Write(_who(event["user"]["username"]), event["verb"], what)


def _who(user: str) -> str:
    return _NAMES.get(user) or ("controllers" if ":kube-system:" in user else user)
