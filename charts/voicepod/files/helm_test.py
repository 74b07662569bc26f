"""What ``helm test`` runs, in the operator's image: are all parts up, and does a session work?

It prints a line for each thing that is well, and ends with the first that is not.
"""

import os
import secrets
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from kubernetes import client, config
from kubernetes.client import ApiException

GROUP, VERSION = "voicepod.dev", "v1alpha1"

# Less than the five minutes after which helm gives up, and more than a pod takes with an image that
# has to be pulled: the operator ends a session at its startDeadline, and says why.
DEADLINE = time.monotonic() + 240


def wait_for(what: str, check: Callable[[], bool]) -> None:
    """Ask until ``check`` says yes; its errors are part of starting up, until the deadline."""
    started = time.monotonic()
    trouble = ""
    while time.monotonic() < DEADLINE:
        try:
            if check():
                print(f"{what}: {time.monotonic() - started:.1f} s", flush=True)
                return
        except (OSError, ApiException) as error:
            trouble = f": {error}"
        time.sleep(0.2)
    sys.exit(f"{what}: not in time{trouble}")


def is_healthy(url: str) -> bool:
    """Whether a process answers its probe."""
    with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 - our Service
        return bool(answer.status == 200)


def kinds_are_served(api: client.CustomObjectsApi) -> bool:
    """Whether the API server knows both kinds."""
    served = {resource.name for resource in api.get_api_resources(GROUP, VERSION).resources}
    return {"voiceagents", "voicesessions"} <= served


def try_session(api: client.CustomObjectsApi, agent: str, namespace: str) -> None:
    """Make a session in a room of its own, see its agent join, and end it."""
    name = f"helm-test-{secrets.token_hex(4)}"
    where = (GROUP, VERSION, namespace, "voicesessions")
    session = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "VoiceSession",
        "metadata": {"name": name},
        "spec": {"agentRef": {"name": agent}, "room": name},
    }

    def status() -> dict[str, Any]:
        found: Any = api.get_namespaced_custom_object(*where, name)
        return dict(found.get("status", {}))

    def is_active() -> bool:
        now = status()
        if now.get("phase") in ("Ended", "Failed"):
            sys.exit(f"the session is over too early: {now.get('reason')}: {now.get('message')}")
        return any(
            condition["type"] == "Active" and condition["status"] == "True"
            for condition in now.get("conditions", [])
        )

    api.create_namespaced_custom_object(*where, session)
    try:
        wait_for(f"the agent of {namespace}/{name} is in its room", is_active)
        api.patch_namespaced_custom_object(
            *where, name, {"spec": {"end": True}}, _content_type="application/merge-patch+json"
        )
        wait_for("the session has ended", lambda: status().get("phase") == "Ended")
    finally:
        api.delete_namespaced_custom_object(*where, name)


def main() -> None:
    """Check everything in turn."""
    config.load_incluster_config()  # type: ignore[no-untyped-call]
    api = client.CustomObjectsApi()
    wait_for("the operator is up", lambda: is_healthy(os.environ["OPERATOR_URL"]))
    wait_for("the gateway is up", lambda: is_healthy(os.environ["GATEWAY_URL"]))
    wait_for("VoiceAgent and VoiceSession are served", lambda: kinds_are_served(api))
    if agent := os.environ["TEST_AGENT"]:
        try_session(api, agent, os.environ["TEST_NAMESPACE"])


if __name__ == "__main__":
    main()
