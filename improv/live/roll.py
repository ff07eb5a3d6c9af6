"""The view's piano roll: notes as cells, time flowing left. Each row of cells is two half rows, one over the other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

from improv.live.snapshot import YOU, Stroke
from improv.music.timeline import NS, TICKS_PER_BEAT, Timeline

BACK_NS, AHEAD_NS = 8 * NS, NS  # what is seen of the past and of the plan
LEAST_PITCHES = 24
MIDDLE = (48, 71)  # what is seen where nothing is played
MOST_SHARED = 2  # pitches on a half row, unless what is played now takes more


class Ink(IntEnum):
    """Of half a cell; what is greater covers what is less."""

    NONE = 0
    PLANNED = 1
    YOURS = 2
    OWN = 3
    YOURS_NOW = 4  # sounding
    OWN_NOW = 5


class Compass(NamedTuple):
    """Which pitches are seen, on so many half rows."""

    lowest: int
    highest: int
    halves: int

    @property
    def pitches(self) -> int:
        return self.highest - self.lowest + 1

    def rows(self, pitch: int) -> range:
        """The half rows of a pitch, from below: as many as there is room for, or one that it shares."""
        number, thick = pitch - self.lowest, self.halves // self.pitches
        if not thick:
            first = number * self.halves // self.pitches
            return range(first, first + 1)
        first = (self.halves - thick * self.pitches) // 2 + thick * number
        return range(first, first + thick)


def compass(strokes: Iterable[Stroke], halves: int, before: Compass | None) -> Compass:
    """As before while all fits, wider where that is not much too wide, else what is played now."""
    pitches = [stroke.pitch for stroke in strokes]
    if not pitches:
        return Compass(*MIDDLE, halves)
    lowest, highest = before[:2] if before is not None else MIDDLE
    both = Compass(min(*pitches, lowest), max(*pitches, highest), halves)
    spare = max(0, LEAST_PITCHES - 1 - (max(pitches) - min(pitches)))
    now = Compass(min(pitches) - spare // 2, max(pitches) + spare - spare // 2, halves)
    return both if both.pitches <= max(MOST_SHARED * halves, now.pitches) else now


class Roll(NamedTuple):
    cells: list[list[tuple[Ink, Ink]]]  # rows from above, columns; the upper half and the lower
    now: int  # the column of this moment
    bars: frozenset[int]  # the columns of bar lines


class Window(NamedTuple):
    """Which column a moment falls in. All columns move together, so that nothing flickers."""

    columns: int
    now_ns: int

    @property
    def column_ns(self) -> int:
        return max(1, (BACK_NS + AHEAD_NS) // self.columns)

    @property
    def now(self) -> int:
        return self.columns * BACK_NS // (BACK_NS + AHEAD_NS)

    def column(self, time_ns: int) -> int:
        return time_ns // self.column_ns - self.now_ns // self.column_ns + self.now

    @property
    def next_ns(self) -> int:
        """When it moves on."""
        return (self.now_ns // self.column_ns + 1) * self.column_ns


def roll(strokes: Sequence[Stroke], line: Timeline | None, view: Compass, window: Window) -> Roll:
    halves = [[Ink.NONE] * window.columns for _ in range(view.halves)]
    for stroke in strokes:
        ink = _ink(stroke)
        for number in view.rows(stroke.pitch):
            row = halves[number]
            for column in _columns(stroke, window):
                row[column] = max(row[column], ink)
    upper_first = halves[::-1]
    cells = [list(zip(*pair, strict=True)) for pair in zip(upper_first[::2], upper_first[1::2], strict=True)]
    return Roll(cells, window.now, _bars(line, window))


def _ink(stroke: Stroke) -> Ink:
    if stroke.planned:
        return Ink.PLANNED
    if stroke.off_ns is None:
        return Ink.YOURS_NOW if stroke.part == YOU else Ink.OWN_NOW
    return Ink.YOURS if stroke.part == YOU else Ink.OWN


def _columns(stroke: Stroke, window: Window) -> range:
    """At least one; a note ends before the column it ends in, so that the next of its pitch stands apart."""
    first = window.column(stroke.on_ns)
    if stroke.off_ns is not None:
        end = max(window.column(stroke.off_ns), first + 1)
    else:
        end = first + 1 if stroke.planned else max(window.now, first) + 1
    return range(max(first, 0), min(end, window.columns))


def _bars(line: Timeline | None, window: Window) -> frozenset[int]:
    if line is None:
        return frozenset()
    first = line.line_at_or_after(line.beat(window.now_ns - BACK_NS), line.bar_beats)
    count = math.ceil((line.beat(window.now_ns + AHEAD_NS) - first) / line.bar_beats)
    beats = (first + number * line.bar_beats for number in range(count))
    return frozenset(window.column(line.time_ns(beat * TICKS_PER_BEAT)) for beat in beats)
