"""What a pool lacks, and what it has too much of. Pure."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from voicepod.reconcile.objects import Pod

# Pods that are in excess are replaced a quarter of the pool at a time: enough to be done after four
# starts, few enough for a template that does not work to cost little.
_BATCH: Final = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do about a pool."""

    create: Mapping[str, int] = field(default_factory=dict)
    """How many pods to make, by the hash of their template."""
    delete: tuple[Pod, ...] = ()


def plan(
    pods: list[Pod],
    shares: Mapping[str, int],
    most: int,
    cordoned: Mapping[str, datetime],
    calls_on: Callable[[str], int],
) -> Plan:
    """Return what makes ``pods``, all that wait for a VoiceAgent, into the pool.

    ``shares`` says how many should wait, by the hash of their template. There are never more than
    ``most``, whatever state they are in. While pods are in excess, be it of an older template or
    of one whose share has shrunk, up to a quarter more than wanted are there: one that is ready
    goes as soon as another is ready in its place. A pool without room for that gives up a quarter
    of them first, but never the last that is ready. Of pods that are alike, those on the nodes with
    the fewest calls go first, so that these become free.

    Pods that were on ``cordoned`` nodes before, each with its moment, are no part of it, and go at
    once; one that is ready stays until another one is, if there may be two. A pod that came to such
    a node later tolerates that, and so would the next one.
    """

    def leaves(pod: Pod) -> bool:
        return pod.node in cordoned and pod.created <= cordoned[pod.node]

    pods = _needless_first(pods, calls_on)
    there = [pod for pod in pods if not pod.finished and not pod.deleting]
    alive = [pod for pod in there if not leaves(pod)]
    excess = _excess(alive, shares)
    wanted = sum(shares.values())
    batch = max(1, wanted // _BATCH)

    ready = sum(pod.ready for pod in alive)
    enough = wanted if most > wanted else min(wanted, max(1, wanted - batch))
    going = [pod for pod in excess if not pod.ready]
    going += [pod for pod in excess if pod.ready][: max(0, ready - enough)]

    leaving = [pod for pod in there if leaves(pod)]
    spared = int(ready == 0 and wanted > 0 and most > 1 and any(pod.ready for pod in leaving))
    going += leaving[: len(leaving) - spared]

    # Bounds that were lowered count before everything else.
    over = max(0, len(there) - len(going) - most)
    going += [pod for pod in there if pod not in going][:over]

    broken = [pod for pod in pods if pod.finished and not pod.deleting]
    room = min(wanted + min(batch, len(excess)) - len(alive), most - len(pods))
    return Plan(_lacking(alive, shares, room), (*broken, *going))


def _needless_first(pods: list[Pod], calls_on: Callable[[str], int]) -> list[Pod]:
    """Sort by who can be done without.

    Those that are not ready yet come first, then those on nodes with few calls, then the newest.
    """
    return sorted(
        pods,
        key=lambda pod: (not pod.ready, -calls_on(pod.node), pod.created, pod.key),
        reverse=True,
    )


def _excess(alive: list[Pod], shares: Mapping[str, int]) -> list[Pod]:
    """Return the pods beyond their template's share, in the order in which they should go."""
    left = Counter(shares)
    excess = []
    for pod in reversed(alive):
        if left[pod.template_hash] > 0:
            left[pod.template_hash] -= 1
        else:
            excess.append(pod)
    return excess[::-1]


def _lacking(alive: list[Pod], shares: Mapping[str, int], room: int) -> dict[str, int]:
    """Return how many pods to make of each template, ``room`` at the most."""
    there = Counter(pod.template_hash for pod in alive)
    lacking = {}
    # The smallest share first: a canary is there to be tried.
    for template, share in sorted(shares.items(), key=lambda item: (item[1], item[0])):
        missing = min(share - there[template], room)
        if missing > 0:
            lacking[template] = missing
            room -= missing
    return lacking
