"""Who leads: one of several operators, by a Lease of coordination.k8s.io.

The rules are client-go's. No clock is compared with another: who waits for a Lease counts, by its
own clock, from when it saw the Lease change last; who holds it counts from when it asked for the
renewal. So the one has stopped before the other may start, as long as both clocks run equally fast.

The client's own ``kubernetes.aio.leaderelection`` keeps none of this up: a request that hangs makes
its leader go on for ever, an error of the network ends it, and it never gives a Lease back.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from voicepod.api.names import GROUP, LABEL_MANAGED_BY, MANAGED_BY
from voicepod.kube.client import Kube, Resource
from voicepod.kube.errors import Conflict, KubeError, NotFound

logger = logging.getLogger(__name__)

LEASES: Final = Resource("coordination.k8s.io", "v1", "leases")

# In seconds: for so long nobody leads after a leader was killed, and new calls wait. Shorter ones
# would be lost whenever the API server, or a burst of calls, is slow for some seconds.
_DURATION: Final = 10

# In seconds. What is between it and the duration is for clocks that do not run equally fast, and
# for a process that is slow to end.
_RENEW_DEADLINE: Final = 7.0

# In seconds. One that fails is tried again soon: what is left until the deadline is for attempts.
_RENEW_EVERY: Final = 2.0
_RENEW_AGAIN: Final = 0.2

# In seconds. A Lease that was given back has its next holder within this time.
_LOOK_EVERY: Final = 1.0

# In seconds, so that a connection that hangs leaves time for a second attempt, as long as the
# first, before the deadline: an API server that has much to do may take that long.
_ATTEMPT: Final = 2.3

# The annotation with the URL at which the holder listens.
_URL: Final = f"{GROUP}/url"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of those who may lead."""

    name: str
    """No other one has it at the same time: the pod's. It is a pod's own again after a restart, so
    that a leader whose process crashed goes on at once."""
    url: str
    """Where the others send those who ask for the leader."""


@dataclass(frozen=True, slots=True)
class Sight:
    """A Lease as it was last seen to change."""

    holder: str
    """Empty when nobody has it."""
    renewed: str
    """As its holder wrote it. It is only compared: the holder's clock may be any."""
    url: str
    duration: float
    """In seconds, as its holder wrote it."""
    since: float
    """When it was first seen like this, by our clock."""

    @classmethod
    def of(cls, lease: dict[str, Any], before: "Sight | None", now: float) -> "Sight":
        """Look at a Lease that was seen before."""
        spec = lease.get("spec", {})
        holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime") or ""
        same = before is not None and (before.holder, before.renewed) == (holder, renewed)
        return cls(
            holder,
            renewed,
            lease["metadata"].get("annotations", {}).get(_URL, ""),
            float(spec.get("leaseDurationSeconds") or _DURATION),
            before.since if before and same else now,
        )

    def may_be_taken(self, name: str, now: float) -> bool:
        """Whether the candidate of this name may write itself into it."""
        return self.holder in ("", name) or now >= self.since + self.duration


class Election:
    """A candidate's part in it. ``on_loss`` must end everything that a leader does, at once."""

    def __init__(
        self,
        kube: Kube,
        lease: tuple[str, str],
        candidate: Candidate,
        clock: Callable[[], datetime],
        on_loss: Callable[[], None],
    ) -> None:
        self._kube = kube
        self._namespace, self._name = lease
        self._candidate = candidate
        self._clock = clock
        self._on_loss = on_loss
        self._sight: Sight | None = None
        self._renewed = 0.0
        self.leads = False
        """Whether this candidate leads."""
        self.asked = asyncio.Event()
        """Set when it has asked for the Lease once, in vain or not."""

    @property
    def leader_url(self) -> str:
        """Where the leader listens, as far as is known; empty when nobody leads."""
        return self._sight.url if self._sight and self._sight.holder else ""

    @asynccontextmanager
    async def term(self) -> AsyncIterator[None]:
        """Wait until this candidate leads, and lead while the ``async with`` lasts.

        The Lease is given back at its end: everything that a leader does has to be over by then.
        """
        while not await self._try():
            self.asked.set()
            await asyncio.sleep(_LOOK_EVERY)
        self.leads = True
        self.asked.set()
        logger.info("this operator leads now: %s", self._candidate.name)
        renewing = asyncio.create_task(self._renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.wait([renewing])
            if self.leads:
                self.leads = False
                await self._give_back()

    async def _renew(self) -> None:
        """Renew the Lease until that fails for too long, or another one has it."""
        # No error may leave a leader behind that does not renew any more.
        try:
            pause = _RENEW_EVERY
            while self._is_ours():
                async with asyncio.timeout_at(self._renewed + _RENEW_DEADLINE):
                    await asyncio.sleep(pause)
                    pause = _RENEW_EVERY if await self._try() else _RENEW_AGAIN
        except TimeoutError:
            logger.error("the Lease could not be renewed for %.0f s", _RENEW_DEADLINE)
        except Exception:
            logger.exception("the Lease could not be renewed")
        self.leads = False
        logger.error("this operator leads no more: %s", self._candidate.name)
        self._on_loss()

    def _is_ours(self) -> bool:
        return self._sight is not None and self._sight.holder in ("", self._candidate.name)

    async def _try(self) -> bool:
        """Take the Lease, or renew it; False when that was not to be."""
        try:
            async with asyncio.timeout(_ATTEMPT):
                return await self._take()
        except Conflict:
            # Somebody has changed it since it was looked at; the next look tells who.
            return False
        except KubeError as error:
            logger.warning("the Lease cannot be had: %s", error)
        except TimeoutError:
            logger.warning("the Lease cannot be had: no answer within %.1f s", _ATTEMPT)
        return False

    async def _take(self) -> bool:
        started = _now()
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            lease = await self._create()
        self._see(lease)
        assert self._sight is not None
        if not self._sight.may_be_taken(self._candidate.name, _now()):
            return False
        self._see(await self._patch(lease, self._candidate.url, self._renewal(lease)))
        self._renewed = started
        return True

    def _see(self, lease: dict[str, Any]) -> None:
        before, self._sight = self._sight, Sight.of(lease, self._sight, _now())
        holder = self._sight.holder
        if holder not in ("", self._candidate.name, before and before.holder):
            logger.info("another operator leads: %s", holder)

    def _renewal(self, lease: dict[str, Any]) -> dict[str, Any]:
        """Return what is new in the spec of a Lease that is taken or renewed."""
        spec, now = lease.get("spec", {}), self._clock().isoformat(timespec="microseconds")
        renewal = {
            "holderIdentity": self._candidate.name,
            "leaseDurationSeconds": _DURATION,
            "renewTime": now,
        }
        if spec.get("holderIdentity") == self._candidate.name:
            return renewal
        turns = int(spec.get("leaseTransitions") or 0) + 1
        return renewal | {"acquireTime": now, "leaseTransitions": turns}

    async def _create(self) -> dict[str, Any]:
        """Make a Lease that nobody has."""
        body = {
            "apiVersion": f"{LEASES.group}/{LEASES.version}",
            "kind": "Lease",
            "metadata": {"name": self._name, "labels": {LABEL_MANAGED_BY: MANAGED_BY}},
        }
        return await self._kube.create(LEASES, self._namespace, body)

    async def _patch(
        self, lease: dict[str, Any], url: str | None, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """Change the Lease; Conflict when it has changed since it was looked at."""
        version = lease["metadata"]["resourceVersion"]
        metadata = {"resourceVersion": version, "annotations": {_URL: url}}
        body = {"metadata": metadata, "spec": spec}
        return await self._kube.patch(LEASES, self._namespace, self._name, body)

    async def _give_back(self) -> None:
        try:
            async with asyncio.timeout(_ATTEMPT):
                lease = await self._kube.get(LEASES, self._namespace, self._name)
                if lease.get("spec", {}).get("holderIdentity") == self._candidate.name:
                    await self._patch(lease, None, {"holderIdentity": None})
        except (KubeError, TimeoutError) as error:
            logger.warning("the Lease is not given back, and runs out by itself: %r", error)
        else:
            logger.info("the Lease is given back")


def _now() -> float:
    return asyncio.get_running_loop().time()
