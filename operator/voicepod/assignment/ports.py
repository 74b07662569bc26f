"""Where a sidecar listens."""

from typing import Final

AGENT_PORT: Final = 7880
"""On the pod's loopback, for the agent: LiveKit's own default port."""

OPERATOR_PORT: Final = 9550
"""On all interfaces, for the operator and the kubelet; no other program is known to use it."""
