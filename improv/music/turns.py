"""Whose turn it is: when a phrase is over, and how long and how dense it was."""

from __future__ import annotations

import cmath
import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from improv.music.timeline import NS

MODES = ("call", "trade", "duet", "continue")
CHORD_NS = 50_000_000  # onsets this close are one chord
UNKNOWN_SPACING_NS = NS // 2  # until two chords were heard
FARTHEST_NS = 3 * NS  # who comes in so late after his last note plays something else
BRUSH_NS = 60_000_000  # a key that is down for less, and nothing else, was brushed


@dataclass(frozen=True)
class TurnRules:
    """When the machine takes over. Times in seconds."""

    silence: float = 2.5  # from the last onset on, times the spacing, which counts as halfway to half a second
    shortest_silence_s: float = 0.3
    longest_silence_s: float = 1.4
    stuck_s: float = 10.0  # a key or pedal unchanged for so long no longer holds the turn
    least_notes: int = 3  # a phrase with fewer notes, and shorter than `least_s`, gets no answer
    least_s: float = 0.5


class Phrase(NamedTuple):
    """What the player just played; `end_ns` is when the last key and the pedal came up."""

    begin_ns: int
    end_ns: int
    notes: int
    spacing_ns: int  # median distance of its chords
    low: int  # its lowest and highest pitch
    high: int
    voices: int  # the most that sounded together
    lean_ticks: float  # mean distance of its onsets from the ticks, -0.5 to 0.5
    length_ticks: float

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.begin_ns


class Listener:
    """Follows one phrase."""

    def __init__(self, rules: TurnRules) -> None:
        self._rules = rules
        self._chord_ns = 0
        self.begin()

    def begin(self) -> None:
        """Wait for the first note of a new phrase."""
        self._last_ns = self._chord_ns
        self._lone_spacing_ns = UNKNOWN_SPACING_NS
        self._begin_ns: int | None = None
        self._begin_position = self._end_position = 0.0
        self._chord_ns = 0
        self._spacings: deque[int] = deque(maxlen=256)
        self._notes = 0
        self._lean = 0j  # as a turn of the circle, for half a tick early is half a tick late
        self._low, self._high, self._voices = 127, 0, 0
        self._changed_ns = 0
        self._held = False

    def resume(self, time_ns: int) -> None:
        """His next note breaks the answer off: he may have been in the midst of a slow phrase."""
        if time_ns - self._last_ns <= FARTHEST_NS:
            self._lone_spacing_ns = time_ns - self._last_ns

    def note(self, time_ns: int, pitch: int, voices: int, position: float = 0.0) -> None:
        """A key was struck, at a position in ticks; `voices` strings sound now."""
        if self._begin_ns is None:
            self._begin_ns = self._chord_ns = time_ns
            self._begin_position = position
        elif time_ns > self.chord_until_ns:
            self._spacings.append(time_ns - self._chord_ns)
            self._chord_ns = time_ns
        self._notes += 1
        self._lean += cmath.rect(1, 2 * math.pi * position)
        self._low, self._high = min(self._low, pitch), max(self._high, pitch)
        self._voices = max(self._voices, voices)

    def changed(self, time_ns: int, held: bool, position: float = 0.0) -> None:
        """A key or the pedal moved; `held` says whether any is down now."""
        self._changed_ns, self._held, self._end_position = time_ns, held, position

    def spacing_ns(self) -> int:
        return int(median(self._spacings)) if self._spacings else self._lone_spacing_ns

    @property
    def chord_until_ns(self) -> int:
        """A note up to then belongs to the last chord; 0: there is none."""
        return 0 if self._begin_ns is None else self._chord_ns + CHORD_NS

    @property
    def brushed(self) -> bool:
        """Whether all there is of a phrase is a note or two, hardly touched."""
        few = 0 < self._notes < self._rules.least_notes and not self._spacings and not self._held
        return few and self._changed_ns - self._chord_ns < BRUSH_NS

    def deadline(self, interrupts: bool = False) -> int | None:
        """When the phrase is over if nothing more happens; None while there is none.

        The wait counts from the last chord's onset: one that was held for long needs little silence after it. Where
        the phrase `interrupts` an answer and is but a brush, nothing is waited for.
        """
        if self._begin_ns is None:
            return None
        rules = self._rules
        if self._held:
            return self._changed_ns + round(rules.stuck_s * NS)
        due_ns = self._chord_ns + (0 if interrupts and self.brushed else round(rules.silence * self._usual_ns()))
        earliest_ns, latest_ns = (
            self._changed_ns + round(silence_s * NS)
            for silence_s in (rules.shortest_silence_s, rules.longest_silence_s)
        )
        return min(max(due_ns, earliest_ns), latest_ns)

    def _usual_ns(self) -> int:
        """The distance of chords, halfway to half a second: he who plays twice as fast does not pause half as long."""
        return (self.spacing_ns() + UNKNOWN_SPACING_NS) // 2

    def phrase(self) -> Phrase | None:
        if self._begin_ns is None:
            return None
        lean_ticks = cmath.phase(self._lean) / (2 * math.pi)
        return Phrase(
            self._begin_ns, self._changed_ns, self._notes, self.spacing_ns(),
            self._low, self._high, self._voices, lean_ticks, self._end_position - self._begin_position,
        )  # fmt: skip

    def deserves_answer(self, phrase: Phrase) -> bool:
        return phrase.notes >= self._rules.least_notes or phrase.length_ns >= self._rules.least_s * NS
