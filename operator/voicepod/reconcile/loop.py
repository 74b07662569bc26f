"""The workers: take a key, reconcile it, say when it is to be looked at again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from voicepod.kube.errors import KubeError
from voicepod.reconcile.agents import AgentReconciler
from voicepod.reconcile.drain import BudgetReconciler
from voicepod.reconcile.headroom import HeadroomReconciler
from voicepod.reconcile.metrics import Metrics
from voicepod.reconcile.objects import Key
from voicepod.reconcile.pool import PoolReconciler
from voicepod.reconcile.queue import KeyedQueue
from voicepod.reconcile.rush import Rush
from voicepod.reconcile.sessions import Outcome, SessionReconciler
from voicepod.reconcile.world import World

logger = logging.getLogger(__name__)

# How many objects are worked on at once. An agent that hesitates to take its job holds a worker
# for seconds; as many calls as this may start at once without one waiting for another.
_WORKERS: Final = 64

# How many calls that have their agent are worked on at once, mostly as they have ended. Those that
# began together may end together, and a hundred that are worked on at once, each with a pod to ask
# and a status to write, would hold up whoever calls meanwhile.
_IN_CALL: Final = 4

# In seconds. What takes longer waits for somebody, a LiveKit that does not answer perhaps, and must
# not hold up all the others: the next one begins beside it.
_TURN: Final = 0.1

# In seconds: how long work in hand may go on when the operator is told to stop. An offer takes ten
# at most, and Kubernetes gives a pod thirty.
_LAST_WORK: Final = 15.0

# How many sessions that are over are worked on at once; as long as each took is rested. The slower
# the API server answers, the fewer pods and sessions are deleted, and new calls have most of it
# when it has much to do. When it takes a tenth of a second for a deletion, as it may then, these
# still delete what twenty calls a second leave.
_TIDIERS: Final = 4

# The more of them wait, the shorter are the rests, and with as many there are none: their pods keep
# the room on nodes from those that start, and these pods would fill a large one.
_NODE_FULL: Final = 32

# How many times as long as a look at a call that goes on takes it is until the next one: a
# twentieth of what a processor can do at the most, and ten minutes for ten thousand calls.
_RESTS: Final = 19


class Item(NamedTuple):
    """What a worker works on."""

    kind: Literal["agent", "budget", "headroom", "pool", "session"]
    key: Key


Queue = KeyedQueue[Item]

Look = Callable[[Item], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Loop:
    """Works on whatever is in the queue."""

    world: World
    queue: Queue
    sessions: SessionReconciler
    agents: AgentReconciler
    pools: PoolReconciler
    budgets: BudgetReconciler
    headrooms: HeadroomReconciler
    metrics: Metrics
    rush: Rush

    async def stand_by(self) -> None:
        """Let everything be, until cancelled: another operator works on it."""
        async with asyncio.TaskGroup() as group:
            queue = self.queue
            for take in (queue.take, queue.take_passed, queue.take_patient, queue.take_late):
                group.create_task(self._let_be(take))

    async def _let_be(self, take: Callable[[], Awaitable[Item]]) -> None:
        while True:
            self.queue.done(await take())

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WORKERS):
                group.create_task(self._work())
            for _ in range(_IN_CALL):
                group.create_task(self._work_on_calls())
            for _ in range(_TIDIERS):
                group.create_task(self._tidy())
            group.create_task(self._work_patiently())

    async def _work(self) -> None:
        while True:
            item = await self.queue.take()
            if self._comes_again(item):
                self.queue.done(item)
            elif item.kind == "session" and self.sessions.is_over(item.key):
                self.queue.put_off(item)
            elif item.kind == "session" and self.sessions.has_agent(item.key):
                self.queue.let_pass(item)
            elif item.kind == "session":
                with self.rush.of_a_call():
                    await self._finish(item, self._reconcile)
            else:
                await self._finish(item, self._reconcile)

    def _comes_again(self, item: Item) -> bool:
        """Whether too little is known yet to look at it: when it is, all is looked at.

        A call would be taken for lost whose pod is not known, and a node for idle whose calls are
        not.
        """
        unlisted = self.world.unlisted
        return item.key in unlisted if item.kind == "session" else bool(unlisted)

    async def _work_on_calls(self) -> None:
        """Work on calls that have their agent, and let those pass that begin."""
        async with asyncio.TaskGroup() as group:
            while True:
                item = await self.queue.take_passed()
                work = group.create_task(self._finish(item, self._reconcile))
                await asyncio.wait([work], timeout=_TURN)

    async def _tidy(self) -> None:
        """Work on what remains of calls that are over, after calls that begin.

        It rests as long as each took if few of them wait.
        """

        def rests() -> float:
            return max(0.0, 1 - self.queue.late / _NODE_FULL)

        async def take() -> Item:
            item = await self.queue.take_late()
            await self.rush.give_way()
            return item

        await self._with_rests(take, self._reconcile, rests)

    async def _work_patiently(self) -> None:
        """Work on what nobody waits for, and rest nineteen times as long each time.

        Each look asks a pod. Thousands of them one after the other would take most of a processor,
        and be felt by those who call meanwhile.
        """
        await self._with_rests(self.queue.take_patient, self._glance, lambda: _RESTS)

    async def _with_rests(
        self, take: Callable[[], Awaitable[Item]], look: Look, rests: Callable[[], float]
    ) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            item = await take()
            began = clock()
            await self._finish(item, look)
            await asyncio.sleep(rests() * (clock() - began))

    async def _finish(self, item: Item, look: Look) -> None:
        work = asyncio.ensure_future(self._work_on(item, look))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # An agent that was just offered a job would wait for its token in vain.
            await asyncio.wait([work], timeout=_LAST_WORK)
            raise

    async def _work_on(self, item: Item, look: Look) -> None:
        try:
            with self.metrics.work(item.kind):
                outcome = await look(item)
        except KubeError as error:
            logger.warning("%s %s/%s: %s", item.kind, *item.key, error)
            self._retry(item)
        except Exception:
            # One session that cannot be understood must not keep the others from being served.
            logger.exception("%s %s/%s could not be reconciled", item.kind, *item.key)
            self._retry(item)
        else:
            if outcome.wake is not None:
                self.queue.add_after(item, outcome.wake)
            if outcome.retry:
                self._retry(item)
            else:
                self.queue.done(item)

    def _retry(self, item: Item) -> None:
        self.metrics.retry(item.kind)
        self.queue.failed(item)

    async def _glance(self, item: Item) -> Outcome:
        # Nothing but sessions is added patiently.
        return await self.sessions.glance(item.key)

    async def _reconcile(self, item: Item) -> Outcome:
        match item.kind:
            case "agent":
                return await self.agents.reconcile(item.key)
            case "budget":
                return await self.budgets.reconcile(item.key)
            case "headroom":
                return await self.headrooms.reconcile(item.key)
            case "pool":
                return await self.pools.reconcile(item.key)
            case "session":
                return await self.sessions.reconcile(item.key)
