"""Everything that runs at scale: brought up for as long as it is needed, then taken away."""

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from local import livekit, tools
from local.chart import AGENT_IMAGE, CREDENTIALS
from local.layout import REPOSITORY
from local.progress import step
from local.run import exclusive, run
from local.scale import karpenter, kwok, redis
from local.scale.karpenter import Autoscaled
from local.scale.site import (
    ACCOUNTS,
    ADDRESS,
    AGENT,
    AUDIT_POLICY,
    GATEWAY_URL,
    HOME,
    KARPENTER,
    KWOK,
    LIVEKIT_PORTS,
    LIVEKIT_URL,
    NAMESPACE,
    OPERATOR_URL,
    PLANE,
    REDIS,
    SIDECARS,
    SIDECARS_URL,
    SYSTEM,
)
from local.scale.upkeep import GRACE_SECONDS, Upkeep

TOOLS = frozenset(
    {
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubectl",
        "livekit-server",
        "kwok",
    }
)

READY_SECONDS = 60.0

# Those who have ten thousand calls have LiveKit on machines of its own; here it shares two cores
# with what is measured. It looks for who speaks in each room 2.5 times a second, of which nobody
# does, as the agents are played; and every two minutes it collects garbage, however little there
# is, for seconds on end among 2 GB of rooms: a run leaves less than it may hold.
_LIVEKIT_SETTINGS = {"audio": {"update_interval": 60_000}}
_LIVEKIT_ENV = {"GOGC": "off", "GOMEMLIMIT": "8GiB"}

# The niceness of what a cluster of that size has on machines of its own: LiveKit and its store.
# Rooms that are empty take an eighth of a core, ten thousand of them, at any moment.
_ELSEWHERE = 10

# Who writes what. Reads are not told: they would be many, and nobody counts them.
_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "verbs": ["get", "list", "watch"]},
        {"level": "Metadata"},
    ],
}


@contextmanager
def running(nodes: int | Autoscaled = kwok.NODES, many_rooms: bool = False) -> Iterator[Upkeep]:
    """Have everything up, from nothing, while the body runs. Raises LocalError when it cannot be.

    There are so many nodes, unless Karpenter is to make them. LiveKit has its rooms in Redis if
    there are to be many. An operator whose process ends is started again. Only one rig can be up
    on a machine: another one waits.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with exclusive(HOME):
        down()  # what one left that was killed
        try:
            _up(nodes, many_rooms)
            with Upkeep(_start_operator).on() as upkeep:
                wait_for_operator()
                _start_gateway()
                yield upkeep
        finally:
            down()


def down() -> None:
    """End every process, and remove what they wrote."""
    if PLANE.state.exists():
        daemons = PLANE.daemons
        with step("ending the scale cluster"):
            # The operator first: it would mourn for the API server.
            daemons.stop(["operator", "gateway"], GRACE_SECONDS)
            daemons.stop(daemons.names(), livekit.GRACE_SECONDS)
        shutil.rmtree(PLANE.state)


def _up(nodes: int | Autoscaled, many_rooms: bool) -> None:
    autoscaled = nodes if isinstance(nodes, Autoscaled) else None
    PLANE.state.mkdir(mode=0o700)
    tools.ensure_tools(PLANE.bin, TOOLS | ({KARPENTER} if autoscaled else set()))
    AUDIT_POLICY.write_text(json.dumps(_POLICY))
    PLANE.credentials()
    for name in (KWOK, KARPENTER, SIDECARS):
        PLANE.admit(name, name, "system:masters")
    PLANE.start()
    kwok.start(autoscaled.pace if autoscaled else 1.0)
    keys = _start_livekit(many_rooms)
    run([*PLANE.kubectl, "apply", "-f", REPOSITORY / "crds"])
    run([*PLANE.kubectl, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"])
    apply([*_namespaces(keys), *_accounts()])
    for account in ACCOUNTS:
        PLANE.admit_account(account, SYSTEM)
    if isinstance(nodes, Autoscaled):
        karpenter.start(nodes)
        _wait(KARPENTER, karpenter.READY_URL)
    else:
        apply(kwok.nodes(nodes))
        run([*PLANE.kubectl, "wait", "node", "--all", "--for=condition=Ready", "--timeout=60s"])
    _start_python(SIDECARS, "local.scale.sidecars")
    _wait(SIDECARS, f"{SIDECARS_URL}/healthz")


def _start_livekit(many_rooms: bool) -> livekit.Credentials:
    store = {"redis": {"address": redis.start()}} if many_rooms else {}
    keys = livekit.start(
        *(PLANE.daemons, "lo", ADDRESS, f"{GATEWAY_URL}/livekit/webhook", LIVEKIT_PORTS),
        _LIVEKIT_SETTINGS | store,
        _LIVEKIT_ENV,
    )
    if many_rooms:
        for name in ("livekit-server", REDIS):
            PLANE.daemons.give_way(name, _ELSEWHERE)
    return keys


def apply(manifests: Iterable[Mapping[str, Any]]) -> None:
    """Apply manifests as an administrator does with `kubectl apply`."""
    content = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
    run([*PLANE.kubectl, "apply", "--server-side", "-f", "-"], data=json.dumps(content).encode())


def _namespaces(keys: livekit.Credentials) -> list[dict[str, Any]]:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}},
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": restricted},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": CREDENTIALS, "namespace": NAMESPACE},
            "stringData": {
                "LIVEKIT_API_KEY": keys.api_key,
                "LIVEKIT_API_SECRET": keys.api_secret,
            },
        },
    ]


def _accounts() -> list[dict[str, Any]]:
    # The chart's tests see to it that its roles are enough; here everyone may do everything.
    group = "rbac.authorization.k8s.io"
    return [
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": SYSTEM},
            }
            for name in ACCOUNTS
        ),
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "voicepod-scale"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [
                {"kind": "ServiceAccount", "name": name, "namespace": SYSTEM} for name in ACCOUNTS
            ],
        },
    ]


def _start_operator() -> None:
    settings = {
        "VOICEPOD_NAMESPACE": SYSTEM,
        "VOICEPOD_POD_NAME": "operator",
        "VOICEPOD_POD_IP": "127.0.0.1",
        "VOICEPOD_URL": OPERATOR_URL,
        "VOICEPOD_SIDECAR_IMAGE": "voicepod/operator:dev",
    }
    _start_voicepod("operator", OPERATOR_URL, settings)


def wait_for_operator() -> None:
    """Wait until the operator knows what there is."""
    _wait("operator", f"{OPERATOR_URL}/readyz")


def _start_gateway() -> None:
    _start_voicepod("gateway", GATEWAY_URL, {"VOICEPOD_OPERATOR_URL": OPERATOR_URL})
    _wait("gateway", f"{GATEWAY_URL}/readyz")


def _start_voicepod(name: str, url: str, settings: Mapping[str, str]) -> None:
    kubeconfig = str(PLANE.kubeconfig_of(name))
    listens = {"VOICEPOD_PORT": url.rpartition(":")[2], "KUBECONFIG": kubeconfig}
    _start_python(name, "voicepod.main", name, env={**settings, **listens})


def _start_python(
    name: str, module: str, *arguments: str, env: Mapping[str, str] | None = None
) -> None:
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("operator", "."))
    PLANE.daemons.start(
        sys.executable,
        *("-m", module, *arguments),
        name=name,
        env={"PYTHONPATH": path, **(env or {})},
    )


def _wait(name: str, ready: str) -> None:
    PLANE.daemons.wait(f"starting the {name}", lambda: _answers(ready), [name], READY_SECONDS)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def voice_agent(
    pool: int, capacity: Mapping[str, Any] | None = None, **lifecycle: str
) -> dict[str, Any]:
    """Return the manifest of the one VoiceAgent; `pool` pods of it are kept warm, never more."""
    return {
        "apiVersion": "voicepod.dev/v1alpha1",
        "kind": "VoiceAgent",
        "metadata": {"name": AGENT, "namespace": NAMESPACE},
        "spec": {
            "livekit": {"url": LIVEKIT_URL, "credentialsSecretRef": {"name": CREDENTIALS}},
            "template": {"spec": {"containers": [{"name": "agent", "image": AGENT_IMAGE}]}},
            "pool": {"min": pool, "max": pool},
            "lifecycle": lifecycle,
            "capacity": capacity or {},
        },
    }
