"""The warm pod: it belongs to its VoiceAgent and waits, until a session claims it.

A claim is one PATCH. It names the version of the pod that it is meant for, so that of two claims
the API server grants one.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from voicepod.api.agent import CheckpointStore
from voicepod.api.base import rfc3339
from voicepod.api.names import ANNOTATION_CLAIMED, ANNOTATION_TEMPLATE_HASH
from voicepod.builders.pod import (
    DO_NOT_DISRUPT,
    Manifest,
    Owner,
    PodKeys,
    Sidecar,
    Template,
    common_pod,
    owned_by,
    session_metadata,
)

# A generated name has 63 characters at most: these, a dash, and five that the API server draws.
_MAX_PREFIX: Final = 57

# Nobody is spoken to by a waiting pod: a node may be emptied of it at any time.
_MAY_GO: Final = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}

# 64 bits: two templates of one VoiceAgent never meet in them by chance.
_HASH_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class WarmOwner:
    """The VoiceAgent that a warm pod waits for."""

    namespace: str
    name: str
    uid: str


def build_warm_pod(
    template: Template, owner: WarmOwner, shutdown_grace: float, sidecar: Sidecar, keys: PodKeys
) -> Manifest:
    """Return the manifest of a pod without a session; ``shutdown_grace`` is in seconds."""
    pod = common_pod(template, owner.name, shutdown_grace, sidecar, keys)
    metadata = pod["metadata"]
    metadata["generateName"] = f"{owner.name[:_MAX_PREFIX]}-"
    metadata["namespace"] = owner.namespace
    metadata["annotations"] = {
        **{k: v for k, v in metadata["annotations"].items() if k not in DO_NOT_DISRUPT},
        **_MAY_GO,
        ANNOTATION_TEMPLATE_HASH: template.hash,
    }
    metadata["ownerReferences"] = [owned_by("VoiceAgent", owner.name, owner.uid)]
    return pod


def hashed(
    manifest: Manifest, store: CheckpointStore | None, shutdown_grace: float, sidecar: Sidecar
) -> Template:
    """Return a template with the hash of all that a pod is made of, but the keys that are its own.

    It is that of the finished pod, and so an operator that builds pods differently replaces them.
    """
    template = Template(manifest, "", store)
    pod = common_pod(template, "", shutdown_grace, sidecar, PodKeys("", ""))
    return replace(template, hash=digest(pod))


def digest(manifest: Manifest) -> str:
    """Return a hash of a manifest, however its fields are ordered."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def claim_patch(uid: str, version: int, owner: Owner, generation: int, now: datetime) -> Manifest:
    """Return the merge patch that makes a warm pod a session's own.

    It is refused with Conflict when the pod is not what it was seen to be: the uid and the
    ``version`` (its resourceVersion) are preconditions.
    """
    metadata = session_metadata(owner, generation)
    metadata["annotations"][ANNOTATION_CLAIMED] = rfc3339(now)
    return {
        "metadata": {
            "uid": uid,
            "resourceVersion": str(version),
            # Who set which field matters to server-side apply, which nobody uses on these pods. It
            # is nearly half of a pod; the API server keeps no account of it from here on.
            "managedFields": [{}],
            **metadata,
        }
    }
