"""Every name that other software reads: the API group, labels, annotations, container names."""

from typing import Final

GROUP: Final = "voicepod.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

AGENTS: Final = "voiceagents"
SESSIONS: Final = "voicesessions"

LABEL_AGENT: Final = f"{GROUP}/agent"
"""On agent pods and sessions: the name of the VoiceAgent."""

LABEL_SESSION: Final = f"{GROUP}/session"
"""On agent pods: the name of the VoiceSession that owns the pod."""

LABEL_HEADROOM: Final = f"{GROUP}/headroom"
"""On placeholders, and on the Deployment that has them: the name of the VoiceAgent for whose pods
they hold room. They are no agent pods, and have no label of those."""

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "voicepod"

ANNOTATION_GENERATION: Final = f"{GROUP}/generation"
"""On agent pods: the generation of the session's agent that this pod runs, from 1."""

ANNOTATION_ROOM: Final = f"{GROUP}/room"
"""On agent pods: the room's name as the user wrote it; a label could not hold it."""

ANNOTATION_CLAIMED: Final = f"{GROUP}/claimed"
"""On agent pods that were warm: when a session claimed them."""

ANNOTATION_TEMPLATE_HASH: Final = f"{GROUP}/template-hash"
"""On agent pods, and on the Deployment of placeholders: what they were built from; another hash
means that the VoiceAgent has changed."""

ANNOTATION_ROOM_CHANGED: Final = f"{GROUP}/room-changed"
"""On sessions: touched by the gateway when LiveKit says that the room changed. The value is the
id of the event; what it says does not matter, the operator asks LiveKit what is true."""

ANNOTATION_AGENT_NAME: Final = f"{GROUP}/agent-name"
"""On sessions: the agent name that a caller asked the token endpoint for. A later call in the same
room is for it, too: the caller may come back with the token, and ask nobody."""

MAX_AGENT_NAME: Final = 63
"""Names of agents and of sessions become values of labels, which hold 63 characters ..."""

MAX_SESSION_NAME: Final = 56
"""... and a session's pods are called like it, with a dash and a generation behind."""

BUDGET: Final = "voicepod-live-calls"
"""The PodDisruptionBudget that a namespace has while its calls are on cordoned nodes."""

HEADROOM_PRIORITY: Final = "voicepod-headroom"
"""The PriorityClass of placeholders; it is installed with the CRDs."""

AGENT_CONTAINER: Final = "agent"
"""The container of the VoiceAgent's template that runs the user's agent."""

SIDECAR_CONTAINER: Final = "voicepod"
