"""One run: a storm, a calm after it, and everybody going home."""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.simulation import weather
from tests.simulation.calm import Calm
from tests.simulation.cluster import Cluster
from tests.simulation.gateways import Gateway
from tests.simulation.invariants import Always, left_over, unanswered
from tests.simulation.nodes import Nodes
from tests.simulation.operators import Operator, Operators
from tests.simulation.outages import Outages
from tests.simulation.people import Callers, Platform, everybody_leaves
from tests.simulation.scene import Scene
from tests.simulation.trace import Trace
from tests.simulation.webhooks import Webhooks
from tests.support.hours import Hours, now

# In seconds: how long things go wrong.
_STORM: Final = (20.0, 80.0)

# In seconds, until all is well again without a fault: watches that stalled, a sweep, a session's
# startDeadline, and the queue's longest backoff.
_CALM: Final = 75.0 + 30.0 + 40.0 + 30.0

# In seconds, until nothing is left: LiveKit's own time-outs, the graces, and ttlAfterFinished.
_HOME: Final = 21.0 + 20.0 + 15.0 + 60.0 + 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a run."""

    seed: int
    broken: str
    """What must not be; empty if all was well."""
    trace: list[str]


def run(seed: int, traced: bool = False) -> Result:
    """Run a seed to its end, or to what must not be."""
    # What our own code draws, which is not about who does what: the jitter of its backoff.
    random.seed(seed)
    this = _Run(seed, traced)
    with this.listening(), asyncio.Runner(loop_factory=Hours) as runner:
        return runner.run(this.run())


class _Run:
    def __init__(self, seed: int, traced: bool) -> None:
        self._seed = seed
        self._trace = Trace(now, traced)
        self._broken: asyncio.Future[str]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take what our code logs, to the very end."""
        log, handler = logging.getLogger("voicepod"), _Log(self._trace, self._break)
        before = log.level, log.propagate
        log.setLevel(logging.WARNING if self._trace.wanted else logging.ERROR)
        log.propagate = False
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(before[0])
            log.propagate = before[1]

    async def run(self) -> Result:
        """Play it."""
        self._broken = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(self._raised)
        broken = await self._first_of(self._play())
        self._trace.say("invariants", broken or "all was well")
        return Result(self._seed, broken, list(self._trace.lines))

    async def _first_of(self, play: Coroutine[Any, Any, None]) -> str:
        story = asyncio.create_task(play)
        first: list[asyncio.Future[Any]] = [story, self._broken]
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not self._broken.done():
            await story
            return ""
        story.cancel()
        return self._broken.result()

    def _break(self, sentence: str) -> None:
        if not self._broken.done():
            self._broken.set_result(sentence)

    def _raised(self, _: object, context: dict[str, Any]) -> None:
        # Tasks are left to what they await when their process is killed.
        if "task" not in context and "future" not in context:
            self._break(f"raised and not caught: {context.get('exception')!r}")

    async def _play(self) -> None:
        scene = Scene(self._seed, self._trace, self._break)
        chance = scene.chance("run")
        scene.weather = weather.drawn(chance)
        self._trace.say("weather", "is", scene.weather)
        platform = Platform(scene)
        nodes, cluster = Nodes(scene), Cluster(scene)
        always = Always(scene, cluster, platform, nodes)
        gateways = [Gateway(scene, number) for number in (1, 2)]
        Webhooks(scene, gateways, can_be_lost=True)
        callers = [Callers(scene, f"call-{number}") for number in range(chance.count(1, 5))]
        # Whoever calls at one moment wants the same pods.
        rush = chance.between(2, 15) if chance.happens(0.5) else None
        # A Lease costs as many requests as all the rest.
        alone = chance.happens(0.75)
        replicas = (1,) if alone else (1, 2)
        operators = [Operator(scene, cluster, number, alone) for number in replicas]
        Operators(scene, operators)
        for work in [one.run() for one in operators] + [one.run() for one in gateways]:
            scene.start(work)
        storm = [scene.start(one.call_now_and_then(rush)) for one in callers]
        meddlers = (
            *(platform.meddle(), platform.reserve()),
            *(Outages(scene).happen(), nodes.drain_now_and_then()),
        )
        storm += [scene.start(one) for one in meddlers]
        await asyncio.sleep(chance.between(*_STORM))
        for task in storm:
            task.cancel()

        self._trace.say("weather", "is calm")
        scene.weather = weather.CALM
        await asyncio.sleep(_CALM)
        self._judge(unanswered(scene, always))
        platform.lift_limit()
        self._judge(await Calm(scene, chance, cluster, nodes, platform, always).try_all())

        self._trace.say("weather", "everybody goes home")
        everybody_leaves(scene, chance)
        await asyncio.sleep(_HOME)
        self._judge(left_over(scene, platform))

    def _judge(self, wrong: list[str]) -> None:
        if wrong:
            self._break("; ".join(wrong))


class _Log(logging.Handler):
    """Puts what our code logs into the trace, and takes what it cannot deal with for a bug."""

    def __init__(self, trace: Trace, broken: Callable[[str], None]) -> None:
        super().__init__()
        self._trace, self._broken = trace, broken

    def emit(self, record: logging.LogRecord) -> None:
        self._trace.say("log", record.getMessage())
        if record.exc_info:
            self._broken(f"{record.getMessage()}: {record.exc_info[1]!r}")
