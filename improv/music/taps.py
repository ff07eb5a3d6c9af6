"""Tap tempo: taps in, timelines out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from improv.music.events import Retime, Tap
from improv.music.timeline import NS, Timeline

LEAST_TAPS = 3  # two intervals that agree are a tempo
MOST_TAPS = 8  # older ones no longer count
LONGEST_INTERVAL_NS = 2 * NS  # 30 bpm; so slow that no series means less
SHORTEST_PERIOD_NS = 60 * NS / 400  # 400 bpm
AGREEMENT = 0.3  # how far an interval may lie from the mean of its series, as a share of it


class Taps:
    """Follows series of taps: the third gives a tempo, and each further one refines it.

    Where beats are counted already the bars stay, and only tempo and phase move. In free time the first
    tap of the series is the first beat of a bar of `metre`.
    """

    def __init__(self, metre: tuple[int, int] = (4, 4)) -> None:
        self._metre = metre
        self._taps_ns: deque[int] = deque(maxlen=MOST_TAPS)
        self._number = 0  # of the last tap in its series, from 0

    def hear(self, tap: Tap, line: Timeline) -> Retime | None:
        """The timeline from this tap on, where `line` is in force until then; None while there is no tempo."""
        self._add(tap.time_ns)
        if len(self._taps_ns) < LEAST_TAPS:
            return None
        period_ns, late_ns = _regress(self._taps_ns)
        if period_ns < SHORTEST_PERIOD_NS:
            return None
        beat_ns, jump = tap.time_ns - round(late_ns), not line.metric
        if jump:
            beat = math.ceil(line.beat(beat_ns))  # the count never runs backwards
            line = line._replace(metric=True, metre=self._metre, bar_beat=float(beat - self._number))
        else:
            beat = round(line.beat(beat_ns))  # within a series always the next: no tap is off by half a beat
        line = line._replace(bpm=60 * NS / period_ns, origin_ns=beat_ns, origin_beat=float(beat))
        return Retime(tap.time_ns, line, jump)

    def _add(self, time_ns: int) -> None:
        """The tap goes on with the series or begins a new one."""
        taps_ns = self._taps_ns
        interval_ns = time_ns - taps_ns[-1] if taps_ns else 0
        if not 0 < interval_ns <= LONGEST_INTERVAL_NS:
            self._begin(time_ns)
        elif not _agrees(interval_ns, taps_ns):
            self._begin(taps_ns[-1], time_ns)  # the last tap of one tempo is the first of the next
        else:
            taps_ns.append(time_ns)
            self._number += 1

    def _begin(self, *taps_ns: int) -> None:
        self._taps_ns.clear()
        self._taps_ns.extend(taps_ns)
        self._number = len(taps_ns) - 1


def _agrees(interval_ns: int, taps_ns: Sequence[int]) -> bool:
    if len(taps_ns) < 2:
        return True
    mean_ns = (taps_ns[-1] - taps_ns[0]) / (len(taps_ns) - 1)
    return abs(interval_ns - mean_ns) <= AGREEMENT * mean_ns


def _regress(taps_ns: Sequence[int]) -> tuple[float, float]:
    """The beat of the taps by least squares: its period, and by how much the last tap came late."""
    middle = (len(taps_ns) - 1) / 2
    numbers = [i - middle for i in range(len(taps_ns))]
    before_ns = [taps_ns[-1] - time_ns for time_ns in taps_ns]  # small numbers, of which floats lose nothing
    period_ns = -sum(n * t for n, t in zip(numbers, before_ns, strict=True)) / sum(n * n for n in numbers)
    return period_ns, sum(before_ns) / len(taps_ns) - middle * period_ns
