"""The LiveKit credentials that VoiceAgents name, read from their Secrets and kept for a while."""

import base64
import binascii
import time
from collections.abc import Callable
from typing import Final

from voicepod.api.agent import KEY, SECRET, LiveKit
from voicepod.api.conditions import Reason
from voicepod.kube.client import SECRETS, Kube, Object
from voicepod.kube.errors import NotFound, Refused, Unavailable
from voicepod.livekit.credentials import Credentials

# In seconds: how long a rotated secret may go unnoticed where LiveKit does not complain first,
# against one read of a Secret for each call.
_KEPT: Final = 30.0


class CredentialsError(Exception):
    """The credentials cannot be had until somebody mends something; the message says what."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def read_credentials(kube: Kube, namespace: str, livekit: LiveKit) -> Credentials:
    """Read the credentials of a VoiceAgent in ``namespace`` from its Secret.

    Raises CredentialsError, or Unavailable when the Kubernetes API cannot answer.
    """
    name = livekit.credentials_secret_ref.name
    return Credentials(livekit.url, *await read_secret(kube, namespace, name, KEY, SECRET))


async def read_secret(kube: Kube, namespace: str, name: str, *keys: str) -> list[str]:
    """Read some values of a Secret.

    Raises CredentialsError, or Unavailable when the Kubernetes API cannot answer.
    """
    try:
        secret = await kube.get(SECRETS, namespace, name)
    except NotFound:
        raise CredentialsError(
            Reason.SECRET_NOT_FOUND,
            f"Secret {namespace}/{name} does not exist; make it, with {' and '.join(keys)}.",
        ) from None
    except Refused as error:
        raise CredentialsError(
            Reason.SECRET_FORBIDDEN,
            f"Secret {namespace}/{name} may not be read; grant it by RBAC: {error}",
        ) from error
    return [_value(secret, key) for key in keys]


def _value(secret: Object, key: str) -> str:
    encoded = (secret.get("data") or {}).get(key, "")
    try:
        # Files that Secrets are made from often end with a line break.
        value = base64.b64decode(encoded).decode().strip()
    except (binascii.Error, UnicodeDecodeError):
        value = ""
    if not value:
        metadata = secret["metadata"]
        raise CredentialsError(
            Reason.SECRET_KEY_MISSING,
            f"Secret {metadata['namespace']}/{metadata['name']} has no text under {key}; add it.",
        )
    return value


class CredentialStore:
    """Reads of the Secrets, remembered for half a minute.

    While the Kubernetes API is away, what was read last counts: calls go on.
    """

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._read: dict[tuple[str, str], tuple[float, Credentials]] = {}

    async def get(self, namespace: str, livekit: LiveKit) -> Credentials:
        """Return the credentials of a VoiceAgent in ``namespace``.

        Raises CredentialsError; Unavailable when they were never read and cannot be read now.
        """
        place = (namespace, livekit.credentials_secret_ref.name)
        at, known = self._read.get(place, (0.0, None))
        if known is None or self._clock() - at >= _KEPT:
            try:
                known = await read_credentials(self._kube, namespace, livekit)
            except Unavailable:
                if known is None:
                    raise
            except CredentialsError:
                self._read.pop(place, None)
                raise
            else:
                self._read[place] = (self._clock(), known)
        # Two VoiceAgents may use one Secret for two servers.
        return Credentials(livekit.url, known.key, known.secret)

    def forget(self, namespace: str, livekit: LiveKit) -> None:
        """Read the Secret anew when it is asked for next: LiveKit does not accept what it held."""
        self._read.pop((namespace, livekit.credentials_secret_ref.name), None)
