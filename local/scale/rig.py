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
from local.scale import karpenter, kwok
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
    SIDECARS,
    SIDECARS_URL,
    SYSTEM,
)

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

# What the operator may take to finish what it has in hand.
GRACE_SECONDS = 20.0

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
def running(autoscaled: Autoscaled | None = None) -> Iterator[None]:
    """Have everything up, from nothing, while the body runs. Raises LocalError when it cannot be.

    The nodes are fixed, unless Karpenter is to make them. Only one can be up on a machine: another
    one waits.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    with exclusive(HOME):
        down()  # what one left that was killed
        try:
            _up(autoscaled)
            yield
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


def _up(autoscaled: Autoscaled | None) -> None:
    PLANE.state.mkdir(mode=0o700)
    tools.ensure_tools(PLANE.bin, TOOLS | ({KARPENTER} if autoscaled else set()))
    AUDIT_POLICY.write_text(json.dumps(_POLICY))
    PLANE.credentials()
    for name in (KWOK, KARPENTER, SIDECARS):
        PLANE.admit(name, name, "system:masters")
    PLANE.start()
    kwok.start(autoscaled.pace if autoscaled else 1.0)
    webhook = f"{GATEWAY_URL}/livekit/webhook"
    keys = livekit.start(PLANE.daemons, "lo", ADDRESS, webhook, LIVEKIT_PORTS)
    run([*PLANE.kubectl, "apply", "-f", REPOSITORY / "crds"])
    run([*PLANE.kubectl, "wait", "crd", "--all", "--for=condition=Established", "--timeout=60s"])
    apply([*_namespaces(keys), *_accounts()])
    for account in ACCOUNTS:
        PLANE.admit_account(account, SYSTEM)
    if autoscaled:
        karpenter.start(autoscaled)
        ready = karpenter.READY_URL
        what = "starting Karpenter"
        PLANE.daemons.wait(what, lambda: _answers(ready), [KARPENTER], READY_SECONDS)
    else:
        apply(kwok.nodes())
        run([*PLANE.kubectl, "wait", "node", "--all", "--for=condition=Ready", "--timeout=60s"])
    _start_processes()


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


def _start_processes() -> None:
    _start_python(SIDECARS, "local.scale.sidecars", f"{SIDECARS_URL}/healthz")
    settings = {
        "VOICEPOD_NAMESPACE": SYSTEM,
        "VOICEPOD_POD_NAME": "operator",
        "VOICEPOD_POD_IP": "127.0.0.1",
        "VOICEPOD_URL": OPERATOR_URL,
        "VOICEPOD_SIDECAR_IMAGE": "voicepod/operator:dev",
    }
    for name, url in (("operator", OPERATOR_URL), ("gateway", GATEWAY_URL)):
        _start_python(
            name,
            "voicepod.main",
            f"{url}/readyz",
            name,
            env={
                **(settings if name == "operator" else {"VOICEPOD_OPERATOR_URL": OPERATOR_URL}),
                "VOICEPOD_PORT": url.rpartition(":")[2],
                "KUBECONFIG": str(PLANE.kubeconfig_of(name)),
            },
        )


def _start_python(
    name: str, module: str, ready: str, *arguments: str, env: Mapping[str, str] | None = None
) -> None:
    path = os.pathsep.join(str(REPOSITORY / part) for part in ("operator", "."))
    daemons = PLANE.daemons
    daemons.start(
        sys.executable,
        *("-m", module, *arguments),
        name=name,
        env={"PYTHONPATH": path, **(env or {})},
    )
    daemons.wait(f"starting the {name}", lambda: _answers(ready), [name], READY_SECONDS)


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
