"""The operator's signing key: a Secret of its own namespace, made at the first start.

Pods verify assignments with the public half, so that the key must outlive the operator's pod.
"""

import base64
from typing import Final

from voicepod.api.names import LABEL_MANAGED_BY, MANAGED_BY
from voicepod.assignment.signing import Signer, generate_key
from voicepod.kube.client import SECRETS, Kube
from voicepod.kube.errors import Conflict, NotFound

_ENTRY: Final = "key.pem"


async def load_signer(kube: Kube, namespace: str, name: str) -> Signer:
    """Return the signer with the key of a Secret, which is made if it is not there.

    Raises an exception of ``kube.errors``.
    """
    try:
        secret = await kube.get(SECRETS, namespace, name)
    except NotFound:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}},
            "data": {_ENTRY: base64.b64encode(generate_key()).decode()},
        }
        try:
            secret = await kube.create(SECRETS, namespace, body)
        except Conflict:
            # Another replica was quicker; both must sign with the same key.
            secret = await kube.get(SECRETS, namespace, name)
    return Signer(base64.b64decode(secret["data"][_ENTRY]))
