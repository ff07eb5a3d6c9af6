"""The plan of one answer: how long it lasts, where it breathes, and what of it has been decided. In ticks."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

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

S = TypeVar("S")


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


@dataclass(frozen=True)
class Planned(Generic[S]):
    """An event that was decided, where it sounds, and where the network stood before it."""

    position: float
    before: S


@dataclass
class Answer(Generic[S]):
    """An answer under way. It ends by itself: `rest_by`, then `closing`, then `over`."""

    turn: Turn
    begin_tick: int  # as the network counts: after `turn.begin` where what it heard last lies there
    belts: Belts
    steering: Steering
    scale: Scale | None = None  # to which all that it strikes belongs
    pitches: np.ndarray = field(init=False)  # bool [128]: which it may strike
    most_voices: int = field(init=False)
    flow: Flow = field(init=False)
    latest: float = field(init=False)  # nothing sounds after this place
    onset_tick: int = field(init=False)  # of the last note planned
    chord_tick: int = field(init=False)  # of the first note of its chord
    notes: int = 0
    closing: bool = False
    over: float | None = None  # where the last note ends, once that is planned
    ahead: deque[Planned[S]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.onset_tick = self.chord_tick = self.begin_tick
        self.latest = self.turn.end if self.turn.exact else math.inf
        self.flow = Flow(self.turn.manner.notes_per_s, self.begin_tick, self.turn.ticks_per_s)
        self.steer(self.steering, self.scale)

    def steer(self, steering: Steering, scale: Scale | None) -> None:
        """What is still to be decided is to be so. `length` is that of the turn, which was decided before."""
        self.steering = replace(steering, variation=VARIED) if self.turn.varies else steering
        self.scale = scale
        low, high = register(self.turn.manner, steering.register, self.belts)
        self.pitches = np.ones(PITCHES, bool) if scale is None else np.array(scale.pitches)
        self.pitches[:low] = False
        self.pitches[high + 1 :] = False
        self.most_voices = min(steering.voices or self.turn.manner.voices + MORE_VOICES, self.belts.voices)

    def keep_to(self, line: Timeline) -> None:
        """The last moment is where the timeline in force says."""
        if self.turn.latest_ns is not None:
            latest = line.position(self.turn.latest_ns) - LAST_TICKS
            self.latest = min(latest, self.turn.end) if self.turn.exact else latest

    def position(self, tick: int) -> float:
        """Where in the turn a tick of the network lies."""
        return tick - self.begin_tick + self.turn.begin

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
            return self.notes >= turn.notes
        if max(position, self.onset(tick)) >= self.latest:
            return True
        if turn.exact:
            return False
        length = turn.end - turn.begin
        breath = position - max(self.position(self.onset_tick), turn.begin + EARLIEST * length)
        return breath >= BREATH * self._spacing_ticks or position > turn.begin + LATEST * length

    def may_end(self, tick: int) -> bool:
        """Whether it would not be too short if it ended there."""
        return self.position(tick) > self.turn.begin + EARLIEST * (self.turn.end - self.turn.begin)

    def strike(self, tick: int) -> None:
        self.flow.strike(tick)
        self.onset_tick = tick
        if tick > self.chord_tick + self._chord_ticks:
            self.chord_tick = tick

    @property
    def hurry(self) -> tuple[int, int]:
        """Between these ticks nothing happens: too late for the last chord, too early for the next."""
        return self.chord_tick + self._chord_ticks, self.chord_tick + self._spacing_ticks // FASTER

    @property
    def rest_by(self) -> int:
        """The tick by which the next note must begin."""
        least = self._ticks(LEAST_REST_S / self.steering.density)
        return self.onset_tick + max(LONGEST_REST * self._spacing_ticks, least)

    @property
    def close_by(self) -> int:
        """The tick by which the last note must have ended."""
        tail = self.onset_tick + self._ticks(TAIL_S)
        if self.position(tail) <= self.latest:
            return tail
        return math.floor(self.latest - self.turn.begin) + self.begin_tick

    def rewind(self, position: float) -> S | None:
        """Where the network stood after the last event that sounds by then; None: nothing is to be undone."""
        return next((planned.before for planned in self.ahead if planned.position > position), None)

    def forget_before(self, position: float) -> None:
        while self.ahead and self.ahead[0].position < position:
            self.ahead.popleft()
