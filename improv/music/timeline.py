"""Beats and seconds: one immutable value that turns either into the other."""

from __future__ import annotations

from typing import NamedTuple

TICKS_PER_BEAT = 48
FREE_BPM = 120.0  # music without a known beat counts as this tempo
NS, MS = 1_000_000_000, 1_000_000  # a second and a millisecond, in nanoseconds
ROUNDING = 1e-6  # of a beat: times are whole nanoseconds, beats are not


class Timeline(NamedTuple):
    """A tempo and where it is anchored. A change of tempo makes a new one (as in Ableton Link).

    `metric` says whether the beats mean anything, live: whether the transport runs. Free playing has
    ticks but no beat.
    """

    bpm: float = FREE_BPM
    origin_ns: int = 0
    origin_beat: float = 0.0
    metric: bool = False
    bar_beat: float = 0.0  # a beat on which some bar starts; live, the top of the song
    metre: tuple[int, int] = (4, 4)

    @property
    def bar_beats(self) -> float:
        """The length of a bar in quarter notes."""
        return self.metre[0] * 4 / self.metre[1]

    @property
    def pulse_beats(self) -> float:
        """What the metre counts, in quarter notes: an eighth is half of one."""
        return 4 / self.metre[1]

    @property
    def ticks_per_s(self) -> float:
        return self.bpm * TICKS_PER_BEAT / 60

    def ticks(self, length_ns: int) -> float:
        return length_ns * self.ticks_per_s / NS

    def beat(self, time_ns: int) -> float:
        return self.origin_beat + (time_ns - self.origin_ns) * self.bpm / (60 * NS)

    def position(self, time_ns: int) -> float:
        """In ticks, and parts of one."""
        return self.beat(time_ns) * TICKS_PER_BEAT

    def tick(self, time_ns: int) -> int:
        """The nearest tick: rounded from absolute time, so that errors never add up."""
        return round(self.position(time_ns))

    def time_ns(self, position: float) -> int:
        """Of a tick, or a place between two."""
        beats = position / TICKS_PER_BEAT - self.origin_beat
        return self.origin_ns + round(beats * 60 * NS / self.bpm)

    def bar_position(self, tick: int) -> float:
        """How far into its bar a tick lies, 0 to 1."""
        return ((tick / TICKS_PER_BEAT - self.bar_beat) / self.bar_beats) % 1.0

    def next_bar_ns(self, time_ns: int, bars: int = 1) -> int:
        """The bar line `bars` bars after the last one at or before `time_ns`."""
        bar = (self.beat(time_ns) - self.bar_beat + ROUNDING) // self.bar_beats + bars
        return self.time_ns((self.bar_beat + bar * self.bar_beats) * TICKS_PER_BEAT)

    def line_at_or_after(self, beat: float, beats: float) -> float:
        """The first line at or after a beat, where lines are `beats` apart and one is a bar line."""
        return self.bar_beat - (self.bar_beat - beat + ROUNDING) // beats * beats

    def nearest_bar_line(self, beat: float) -> float:
        return self.bar_beat + round((beat - self.bar_beat) / self.bar_beats) * self.bar_beats

    def bar_line_near(self, beat: float, beats: float) -> float:
        """The bar line nearest to `beats` after a beat, and at least half a bar after it."""
        half_on = self.line_at_or_after(beat + self.bar_beats / 2, self.bar_beats)
        return max(self.nearest_bar_line(beat + beats), half_on)
