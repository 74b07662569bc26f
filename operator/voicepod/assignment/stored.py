"""Where sidecars leave a checkpoint that shall outlive their pod, and the operator looks for it."""

from voicepod.assignment.messages import SessionRef


def checkpoint_key(session: SessionRef) -> str:
    """Return the key of a session's checkpoint in Redis; several clusters may share one."""
    return f"voicepod:checkpoint:{session.namespace}:{session.uid}"
