"""A simulated master: the MIDI clock it sends, the faults on the way, and the beat it truly is at."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from math import log, sqrt
from random import Random
from typing import NamedTuple

from improv.music.events import Clock, Start, Tick
from improv.music.timeline import NS

PPQN = 24
MS = NS // 1000


def steady(bpm: float, beats: float) -> list[float]:
    """The intervals between ticks, in seconds. Parts of a song are put together with `+`."""
    return [60 / bpm / PPQN] * round(beats * PPQN)


def ramp(bpm: float, to_bpm: float, beats: float, by: str = "beats") -> list[float]:
    """The tempo goes evenly from one to the other, by "beats" or by "time"."""
    ticks = round(beats * PPQN)
    if by == "beats":  # dt = 60 / bpm(beat) dbeat
        slope = (to_bpm - bpm) / beats
        times = [60 / slope * log(1 + slope * n / PPQN / bpm) for n in range(ticks + 1)]
    else:  # beat = (bpm t + slope t² / 2) / 60
        slope = (to_bpm**2 - bpm**2) / (120 * beats)
        times = [(sqrt(bpm**2 + 120 * slope * n / PPQN) - bpm) / slope for n in range(ticks + 1)]
    return [later - sooner for sooner, later in pairwise(times)]


class Take(NamedTuple):
    """What arrives, and when each tick of the song, from 0, was due."""

    events: list[Clock]
    due_ns: list[float]

    def beat(self, time_ns: float) -> float:
        n = min(max(bisect_right(self.due_ns, time_ns) - 1, 0), len(self.due_ns) - 2)
        sooner, later = self.due_ns[n : n + 2]
        return (n + (time_ns - sooner) / (later - sooner)) / PPQN


def played(
    intervals_s: Sequence[float],
    *,
    lead: int = 0,
    lost: Collection[int] = (),
    doubled: Collection[int] = (),
    again_ms: float = 3.0,
    stalled: Collection[int] = (),
    jitter_ms: float = 0.0,
    seed: int = 0,
    from_ns: int = NS,
) -> Take:
    """A song from Start on, with `lead` ticks before it at its first tempo.

    Ticks are named by their number in the song. `lost` ones never come; `doubled` ones come again `again_ms` later;
    `stalled` ones come together, when the last of them is due. Each comes early or late by a normal deviate of
    `jitter_ms`; none overtakes another.
    """
    random = Random(seed)
    due = list(accumulate((NS * s for s in intervals_s), initial=float(from_ns + lead * NS * intervals_s[0])))
    sent = {n: due[n] if n >= 0 else due[0] + n * NS * intervals_s[0] for n in range(-lead, len(due))}
    held = {n: sent[max(stalled)] for n in stalled}
    times: list[int] = []
    events: list[Clock] = []
    for n in range(-lead, len(due)):
        if n == 0:
            events.append(Start(times[-1] if times else from_ns - 5 * MS))
        if n not in lost:
            arrives = round(held[n] if n in held else sent[n] + random.gauss(0, jitter_ms) * MS)
            times.append(max(arrives, times[-1] + 320_000 if times else 0))  # a byte takes 0.32 ms on the wire
            events.append(Tick(times[-1]))
        if n in doubled:
            times.append(times[-1] + round(again_ms * MS))
            events.append(Tick(times[-1]))
    return Take(events, due)
