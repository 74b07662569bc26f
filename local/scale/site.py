"""Where the parts are, and who they are to the API server."""

from local.controlplane import ControlPlane
from local.layout import cache
from local.livekit import Ports
from voicepod.assignment.ports import OPERATOR_PORT

# In the cache: it needs no root, and is one a machine, as the ports are.
HOME = cache() / "scale"

ADDRESS = "127.0.0.1"

SYSTEM = "voicepod-system"
"""The operator's namespace."""

NAMESPACE = "voice"
"""The namespace of the agent and its sessions."""

AGENT = "hello"
"""The VoiceAgent."""

# All of them beside those of the local cluster, which may be up.
LIVEKIT_PORTS = Ports(http=17880, rtc_tcp=17881, rtc_udp=(51000, 51010))
LIVEKIT_URL = f"ws://{ADDRESS}:{LIVEKIT_PORTS.http}"
OPERATOR_URL = f"http://{ADDRESS}:18080"
GATEWAY_URL = f"http://{ADDRESS}:18081"
REDIS_PORT = 16379
SIDECARS_URL = f"http://{ADDRESS}:{OPERATOR_PORT}"
KARPENTER_PORTS = {"metrics": 18082, "health-probe": 18083}

# As in any cluster: what they cost the API server is another thing than what an administrator with
# a certificate does, and they wait in its queues.
ACCOUNTS = ("operator", "gateway", "callers")
"""Service accounts of the operator's namespace."""

KWOK = "kwok"
KARPENTER = "karpenter"
REDIS = "redis-server"
SIDECARS = "sidecars"
"""The stand-in; like the kubelets that it stands for, it has a certificate."""

AUDIT_LOG = HOME / "state" / "audit.log"
AUDIT_POLICY = HOME / "state" / "audit-policy.json"

PLANE = ControlPlane(
    state=HOME / "state",
    address=ADDRESS,
    names=(),
    port=16443,
    peer_port=22380,
    options=(
        f"--audit-log-path={AUDIT_LOG}",
        f"--audit-policy-file={AUDIT_POLICY}",
        # The API server compares its cache with etcd every five minutes: with ten thousand calls
        # that is seconds of both cores, which those who have as many calls have more of.
        "--feature-gates=DetectCacheInconsistency=false",
        # No Service leads to a loopback address; nobody here needs the `kubernetes` one.
        "--endpoint-reconciler-type=none",
    ),
)
