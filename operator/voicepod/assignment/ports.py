"""Where a sidecar listens."""

from typing import Final

AGENT_PORT: Final = 7880
"""On the pod's loopback, for the agent: LiveKit's own default port."""

RUNTIME_PATH: Final = "/voicepod"
"""On the agent's port, for the runtime in its process: LiveKit's own paths are beside it."""

OPERATOR_PORT: Final = 9550
"""On all interfaces, for the operator and the kubelet; no other program is known to use it."""
