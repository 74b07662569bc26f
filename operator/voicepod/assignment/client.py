"""The operator's side: what it asks of a pod, over HTTP."""

import io
import json
from collections.abc import Sequence
from typing import Any, Final, TypeVar

import aiohttp
from yarl import URL

from voicepod.assignment.codec import Message
from voicepod.assignment.errors import MessageError, PodRefused, PodUnreachable
from voicepod.assignment.messages import (
    Accepted,
    Act,
    Assignment,
    Checkpoint,
    Ending,
    PodStatus,
    Refusal,
    Tokens,
)
from voicepod.assignment.ports import OPERATOR_PORT
from voicepod.assignment.signing import Signer

_M = TypeVar("_M", bound=Message)

# Seconds. A pod answers within milliseconds; what takes longer is a node that is gone. Only an
# assignment is answered when the agent has accepted it, and a sidecar offers it for 8 seconds.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=4, sock_connect=2)
_ASSIGN_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, sock_connect=2)

# The longest answer is a checkpoint, of half a mebibyte at most, in which JSON may escape each
# character; a pod that sends more is up to something.
_MAX_ANSWER: Final = 2 * 1024 * 1024

# In bytes: aiohttp warns of larger pieces, which hold up the event loop.
_AT_ONCE: Final = 64 * 1024


def pod_session(traces: Sequence[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """Return the session that a ``PodClient`` needs; close it as any other.

    ``traces`` are told of its requests.

    Connections are not kept: a pod is called a few times in its life, connecting costs a
    fraction of a millisecond in a cluster, and a kept connection may lead to a pod that has died
    and whose address is another's by now. Their number has no limit either: one slow pod must not
    keep others waiting.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=list(traces),
    )


class PodClient:
    """Speaks to the sidecars.

    Every method takes the pod's IP address and uid, and raises PodUnreachable or PodRefused. All
    are idempotent: what was not answered may be asked again.
    """

    def __init__(
        self, session: aiohttp.ClientSession, signer: Signer, port: int = OPERATOR_PORT
    ) -> None:
        self._session = session
        self._signer = signer
        self._port = port

    async def assign(self, address: str, pod_uid: str, assignment: Assignment) -> Accepted:
        """Give a pod its one job; returns what its agent accepted with."""
        return await self._ask(address, pod_uid, Act.ASSIGN, assignment.to_dict(), Accepted)

    async def dispatch(self, address: str, pod_uid: str, tokens: Tokens) -> PodStatus:
        """Send the tokens, with which the agent joins its room; returns the status after it."""
        return await self._ask(address, pod_uid, Act.TOKEN, tokens.to_dict(), PodStatus)

    async def end(self, address: str, pod_uid: str, reason: str) -> PodStatus:
        """Tell the agent to end its job. It takes its time, and the status tells when it has."""
        return await self._ask(address, pod_uid, Act.END, Ending(reason).to_dict(), PodStatus)

    async def status(self, address: str, pod_uid: str) -> PodStatus:
        """Return all that the sidecar knows."""
        return await self._ask(address, pod_uid, Act.STATUS, {}, PodStatus)

    async def checkpoint(self, address: str, pod_uid: str) -> str | None:
        """Return the conversation so far; a sidecar has it when its agent is gone as well."""
        return (await self._ask(address, pod_uid, Act.CHECKPOINT, {}, Checkpoint)).checkpoint

    async def _ask(
        self,
        address: str,
        pod_uid: str,
        act: Act,
        body: dict[str, Any],
        answer: type[_M],
    ) -> _M:
        data = await self._post(address, pod_uid, act, body)
        try:
            return answer.from_dict(data)
        except MessageError as error:
            raise PodUnreachable(f"the pod at {address} gave an odd answer: {error}") from error

    async def _post(self, address: str, pod_uid: str, act: Act, body: dict[str, Any]) -> object:
        url = URL.build(scheme="http", host=address, port=self._port, path=f"/v1/{act}")
        try:
            async with self._session.post(
                url,
                data=_payload(self._signer.mint(act, pod_uid, body).encode()),
                headers={"Content-Type": "application/jwt"},
                timeout=_ASSIGN_TIMEOUT if act is Act.ASSIGN else _TIMEOUT,
                allow_redirects=False,
            ) as response:
                status, data = response.status, json.loads(await _read(response))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            what = str(error) or type(error).__name__
            raise PodUnreachable(f"the pod at {address} did not answer {act}: {what}") from error
        if status in (200, 202):
            return data
        try:
            refusal = Refusal.from_dict(data)
        except MessageError:
            raise PodUnreachable(f"the pod at {address} answered {act} with {status}") from None
        raise PodRefused(refusal.reason, refusal.message)


def _payload(token: bytes) -> bytes | io.BytesIO:
    """Return what aiohttp is to send: at once as a rule.

    A large one, with a checkpoint, is read by a thread, piece by piece; the way to a thread and
    back is longer than what is done for a small one.
    """
    return token if len(token) <= _AT_ONCE else io.BytesIO(token)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Return the whole answer. Raises ValueError if it is larger than an answer can be."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > _MAX_ANSWER:
            raise ValueError("the answer is too large")
    return bytes(answer)
