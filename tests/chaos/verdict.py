"""What became of the calls: who was lost, who heard two agents, how long somebody heard none."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from local.caller import AgentTrack

PATIENCE = 120.0
"""Seconds, as documented: a lost webhook is made good by a sweep after 30, an operator leads after
another 12, a kubelet starts pods again up to 60 after the API server's return, and the agent's
start takes the rest, beside those of other callers and the pool on two busy cores."""

Span = tuple[float, float]


@dataclass(slots=True)
class Outages:
    """When a server was away without which no call can start."""

    spans: list[Span] = field(default_factory=list)
    since: dict[str, float] = field(default_factory=dict)
    """Those that are away now."""

    def begins(self, server: str) -> None:
        """A server is away from now on."""
        self.since[server] = time.time()

    def ends(self, server: str) -> None:
        """A server is back."""
        self.spans.append((self.since.pop(server), time.time()))

    def waited(self, gap: Span) -> float:
        """Return the seconds of a gap in which every server was there."""
        start, end = gap
        seconds = 0.0
        away = [*self.spans, *((since, end) for since in self.since.values())]
        for begins, ends in sorted(away):
            seconds += max(0.0, min(begins, end) - start)
            start = max(start, min(ends, end))
        return seconds + max(0.0, end - start)


@dataclass(frozen=True, slots=True)
class Voice:
    """A time in which an agent's audio track was there to be heard."""

    agent: str
    """The participant's sid: an agent that replaces another has its identity, and not this."""
    start: float
    end: float
    """Infinity while it is there."""


def voices(tracks: Iterable[AgentTrack], down: Iterable[Span], until: float = inf) -> list[Voice]:
    """Return when tracks could be heard: not while the caller's own line was down."""
    heard = []
    for track in tracks:
        start, end = track.subscribed or inf, until if track.ended is None else track.ended
        for cut, mended in sorted(down):
            if start < min(cut, end):
                heard.append(Voice(track.agent, start, min(cut, end)))
            start = max(start, mended)
        if start < end:
            heard.append(Voice(track.agent, start, end))
    return heard


@dataclass(slots=True)
class Call:
    """One caller's call, in unix seconds."""

    room: str
    joined: float = 0.0
    """When the room let the caller in first; 0 if it never did."""
    left: float = 0.0
    rejoined: int = 0
    """How often the SDK gave up, and the caller joined again."""
    put_out: str = ""
    """Why the caller was put out of the room."""
    voices: list[Voice] = field(default_factory=list)

    def hears_now(self) -> bool:
        """Whether an agent's audio track is there."""
        return any(voice.end == inf for voice in self.voices)

    def gaps(self) -> list[Span]:
        """Return when the caller was there without an agent's audio track."""
        gaps, silent_from = [], self.joined
        for voice in sorted(self.voices, key=lambda voice: voice.start):
            if voice.start > silent_from:
                gaps.append((silent_from, voice.start))
            silent_from = max(silent_from, voice.end)
        if self.left > silent_from:
            gaps.append((silent_from, self.left))
        return gaps

    def longest_gap(self) -> float:
        """Return the length of the longest gap, in seconds."""
        return max((end - start for start, end in self.gaps()), default=0.0)

    def is_lost(self, outages: Outages) -> bool:
        """Whether the call was lost, though the servers were there."""
        return bool(self.put_out) or any(outages.waited(gap) > PATIENCE for gap in self.gaps())

    def is_doubled(self) -> bool:
        """Whether two agents were there to be heard at once."""
        return any(
            one.agent != other.agent and other.start < one.end
            for one in self.voices
            for other in self.voices
            if one.start <= other.start
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the last line says."""

    calls: int
    lost: int
    doubled: int
    leaked: int
    longest_gap: float

    @property
    def good(self) -> bool:
        """Whether there were calls, and none of them came to harm."""
        return self.calls > 0 and not (self.lost or self.doubled or self.leaked)

    def line(self) -> str:
        """Return the line."""
        return (
            f"chaos: calls={self.calls} lost={self.lost} doubled={self.doubled} "
            f"leaked={self.leaked} longest-gap={self.longest_gap:.1f}s"
        )


def judge(calls: Iterable[Call], outages: Outages, leaked: int) -> Verdict:
    """Judge the calls whose callers got into their rooms."""
    made = [call for call in calls if call.joined]
    return Verdict(
        calls=len(made),
        lost=sum(call.is_lost(outages) for call in made),
        doubled=sum(call.is_doubled() for call in made),
        leaked=leaked,
        longest_gap=max((call.longest_gap() for call in made), default=0.0),
    )
