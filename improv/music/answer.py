"""The plan of one answer: how long it lasts, where it breathes, and what of it has been decided. In ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from improv.music.belts import Belts
from improv.music.flow import Flow
from improv.music.grid import Grid
from improv.music.scale import PITCHES, Scale
from improv.music.steering import Steering
from improv.music.timeline import FREE_BPM, NS, ROUNDING, TICKS_PER_BEAT, Timeline
from improv.music.turns import CHORD_NS, UNKNOWN_SPACING_NS, Phrase

EARLIEST, LATEST = 0.75, 1.25  # of the phrase's length: where an answer may end
BREATH = 2  # times the spacing: a rest or held chord that ends it
LONGEST_REST = 3  # times the spacing: within an answer
LEAST_REST_S = 0.75
TAIL_S = 2  # the last notes sound on for at most so long
FASTER = 2  # times the player's spacing: its chords come at most so fast
MORE_VOICES = 2  # than the player's
LAST_TICKS = 2  # room for a lean and for the shortest note, before the last moment
VARIED = 0.3  # the `variation` of one answer from the one before
BEYOND = 12  # semitones below and above what the player touched

LEAST_S = 0.1  # of a phrase, whose notes are counted


class Manner(NamedTuple):
    """How the player played: an answer is in the same tempo, register and thickness."""

    spacing_ns: int = UNKNOWN_SPACING_NS
    low: int = 48
    high: int = 72
    voices: int = 4
    lean_ticks: float = 0.0  # how far after the ticks he plays, on average
    notes_per_s: float = 2.0

    @classmethod
    def of(cls, phrase: Phrase | None) -> Manner:
        if phrase is None:
            return cls()
        notes_per_s = phrase.notes / max(phrase.length_ns / NS, LEAST_S)
        return cls(phrase.spacing_ns, phrase.low, phrase.high, phrase.voices, phrase.lean_ticks, notes_per_s)


def register(manner: Manner, above: int, belts: Belts) -> tuple[int, int]:
    """The lowest and the highest pitch of an answer so many semitones above the player's.

    That is his own register moved, with an octave beyond it, of which so many semitones are lost on his side.
    """
    low = manner.low + above - BEYOND + min(max(above, 0), BEYOND)
    high = manner.high + above + BEYOND + max(min(above, 0), -BEYOND)
    if above:  # where the belts end it stops, an octave wide
        low, high = min(low, belts.highest - BEYOND), max(high, belts.lowest + BEYOND)
    low, high = max(belts.lowest, low), min(belts.highest, high)
    return (low, high) if above or high - low >= 2 * BEYOND else (belts.lowest, belts.highest)


class Turn(NamedTuple):
    """A turn that was decided: from where to where, in ticks and parts of one, and in whose manner."""

    begin: float
    end: float
    manner: Manner
    exact: bool  # end there, to the letter, instead of where the music breathes
    latest_ns: int | None = None  # nothing of it sounds later than this; None: its length was asked for
    notes: int | None = None  # end after so many notes
    grid: Grid = Grid()
    lean_ticks: float = 0.0  # how far after its place each onset sounds
    ticks_per_s: float = FREE_BPM * TICKS_PER_BEAT / 60  # as it begins
    varies: bool = False  # the answer before

    def endless(self) -> Turn:
        """The same, until something else ends it."""
        return self._replace(end=math.inf, exact=False, latest_ns=None, notes=None)


class Onsets(NamedTuple):
    """What was struck so far: how many notes, where the last one sounds, its tick, that of its chord's first, and how
    many come in a time.
    """

    notes: int
    position: float
    tick: int
    chord_tick: int
    flow: Flow


@dataclass
class Answer:
    """An answer under way. It ends by itself: `rest_by`, then `closing`, then `over`."""

    turn: Turn
    begin_tick: int  # as the network counts: after `turn.begin` where what it heard last lies there
    belts: Belts
    steering: Steering
    scale: Scale | None = None  # to which all that it strikes belongs
    pitches: np.ndarray = field(init=False)  # bool [128]: which it may strike
    most_voices: int = field(init=False)
    zone: tuple[int, int] | None = None  # its lowest and highest pitch; None: about where the player's are
    latest: float = field(init=False)  # nothing sounds after this place
    onsets: Onsets = field(init=False)
    closing: bool = False
    over: float | None = None  # where the last note ends, once that is planned

    def __post_init__(self) -> None:
        flow = Flow.begin(self.turn.manner.notes_per_s, self.begin_tick, self.turn.ticks_per_s)
        self.onsets = Onsets(0, -math.inf, self.begin_tick, self.begin_tick, flow)
        self.latest = self.turn.end if self.turn.exact else math.inf
        self.steer(self.steering, self.scale)

    def steer(self, steering: Steering, scale: Scale | None) -> None:
        """What is still to be decided is to be so. `length` is that of the turn, which was decided before."""
        self.steering = replace(steering, variation=VARIED) if self.turn.varies else steering
        self.scale = scale
        low, high = self.zone or register(self.turn.manner, steering.register, self.belts)
        self.pitches = np.ones(PITCHES, bool) if scale is None else np.array(scale.pitches)
        self.pitches[:low] = False
        self.pitches[high + 1 :] = False
        self.most_voices = min(steering.voices or self.turn.manner.voices + MORE_VOICES, self.belts.voices)

    def keep_within(self, zone: tuple[int, int]) -> None:
        """The lowest and the highest pitch it may strike; where there is none, they stay as they are."""
        if zone[0] <= zone[1] and zone != self.zone:
            self.zone = zone
            self.steer(self.steering, self.scale)

    def keep_to(self, line: Timeline) -> None:
        """The last moment is where the timeline in force says."""
        if self.turn.latest_ns is not None:
            latest = line.position(self.turn.latest_ns) - LAST_TICKS
            self.latest = min(latest, self.turn.end) if self.turn.exact else latest

    def position(self, tick: int) -> float:
        """Where in the turn a tick of the network lies."""
        return tick - self.begin_tick + self.turn.begin

    def tick_at(self, position: float) -> int:
        """The tick of the network at a place in the turn."""
        return round(position - self.turn.begin) + self.begin_tick

    def onset(self, tick: int) -> float:
        """Where a note that is drawn there begins, but for the lean."""
        return self.turn.grid.onset(self.position(tick), self.turn.begin)

    def tick_from(self, position: float) -> int:
        """The first tick from which on no note that is drawn begins before that place."""
        turn = self.turn
        return self.begin_tick + math.ceil(position + turn.grid.reach_ticks - turn.lean_ticks - turn.begin - ROUNDING)

    def _ticks(self, seconds: float) -> int:
        return int(seconds * self.turn.ticks_per_s)

    @property
    def _chord_ticks(self) -> int:
        """Onsets this close are one chord."""
        return self._ticks(CHORD_NS / NS)

    @property
    def _spacing_ticks(self) -> int:
        """The player's, or that of so many times as many notes."""
        return self._ticks(self.turn.manner.spacing_ns / NS / self.steering.density)

    def ends_before(self, tick: int, on: bool) -> bool:
        """Whether a note-on or note-off that is drawn there would come after the end."""
        turn, position = self.turn, self.position(tick)
        if not on:
            return position > self.latest
        if turn.notes is not None:
            return self.onsets.notes >= turn.notes
        if max(position, self.onset(tick)) >= self.latest:
            return True
        if turn.exact:
            return False
        length = turn.end - turn.begin
        breath = position - max(self.position(self.onsets.tick), turn.begin + EARLIEST * length)
        usual = max(self._spacing_ticks, self._ticks(self.turn.manner.spacing_ns / NS))  # it may not keep the density
        return breath >= BREATH * usual or position > turn.begin + LATEST * length

    def may_end(self, tick: int) -> bool:
        """Whether it would not be too short if it ended there."""
        return self.position(tick) > self.turn.begin + EARLIEST * (self.turn.end - self.turn.begin)

    def strike(self, tick: int, position: float, sounds: bool) -> None:
        """A note was drawn at that tick. It `sounds` there, or is the same as one before, on the grid."""
        notes, at, _, chord_tick, flow = self.onsets
        if tick > chord_tick + self._chord_ticks:
            chord_tick = tick
        self.onsets = Onsets(notes + sounds, position if sounds else at, tick, chord_tick, flow.strike(tick))

    @property
    def hurry(self) -> tuple[int, int]:
        """Between these ticks nothing happens: too late for the last chord, too early for the next."""
        chord_tick = self.onsets.chord_tick
        return chord_tick + self._chord_ticks, chord_tick + self._spacing_ticks // FASTER

    @property
    def rest_by(self) -> int:
        """The tick by which the next note must begin."""
        least = self._ticks(LEAST_REST_S / self.steering.density)
        return self.onsets.tick + max(LONGEST_REST * self._spacing_ticks, least)

    @property
    def close_by(self) -> int:
        """The tick by which the last note must have ended."""
        tail = self.onsets.tick + self._ticks(TAIL_S)
        if self.position(tail) <= self.latest:
            return tail
        return math.floor(self.latest - self.turn.begin) + self.begin_tick
