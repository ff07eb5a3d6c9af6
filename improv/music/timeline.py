"""Beats and seconds: one immutable value that turns either into the other."""

from __future__ import annotations

from typing import NamedTuple

TICKS_PER_BEAT = 48
FREE_BPM = 120.0  # music without a known beat counts as this tempo
NS = 1_000_000_000


class Timeline(NamedTuple):
    """A tempo and where it is anchored. A change of tempo makes a new one (as in Ableton Link).

    `metric` says whether the beats mean anything: free playing has ticks but no beat.
    """

    bpm: float = FREE_BPM
    origin_ns: int = 0
    origin_beat: float = 0.0
    metric: bool = False
    bar_beat: float = 0.0  # a beat on which some bar starts
    metre: tuple[int, int] = (4, 4)

    @property
    def bar_beats(self) -> float:
        """The length of a bar in quarter notes."""
        return self.metre[0] * 4 / self.metre[1]

    def beat(self, time_ns: int) -> float:
        return self.origin_beat + (time_ns - self.origin_ns) * self.bpm / (60 * NS)

    def tick(self, time_ns: int) -> int:
        """The nearest tick: rounded from absolute time, so that errors never add up."""
        return round(self.beat(time_ns) * TICKS_PER_BEAT)

    def time_ns(self, tick: float) -> int:
        beats = tick / TICKS_PER_BEAT - self.origin_beat
        return self.origin_ns + round(beats * 60 * NS / self.bpm)

    def at_tempo(self, bpm: float, time_ns: int) -> Timeline:
        """The same beats at another tempo from `time_ns` on."""
        return self._replace(bpm=bpm, origin_ns=time_ns, origin_beat=self.beat(time_ns))

    def bar_position(self, tick: int) -> float:
        """How far into its bar a tick lies, 0 to 1."""
        return ((tick / TICKS_PER_BEAT - self.bar_beat) / self.bar_beats) % 1.0

    def next_bar_ns(self, time_ns: int, bars: int = 1) -> int:
        """The bar line `bars` bars after the last one at or before `time_ns`."""
        bar = (self.beat(time_ns) - self.bar_beat + 1e-6) // self.bar_beats + bars  # times are whole nanoseconds
        return self.time_ns((self.bar_beat + bar * self.bar_beats) * TICKS_PER_BEAT)
