"""The plan of one answer: how long it lasts, where it breathes, and what of it has been decided."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from improv.music.timeline import NS
from improv.music.turns import CHORD_NS, UNKNOWN_SPACING_NS, Phrase

EARLIEST, LATEST = 0.75, 1.25  # of the phrase's length: where an answer may end
BREATH = 2  # times the spacing: a rest or held chord that ends it
LONGEST_REST = 3  # times the spacing: within an answer
LEAST_REST_NS = 3 * NS // 4
TAIL_NS = 2 * NS  # the last notes sound on for at most so long
FASTER = 2  # times the player's spacing: its chords come at most so fast
MORE_VOICES = 2  # than the player's
MOST_VOICES = 12
BEYOND = 12  # semitones below and above what the player touched
KEYS = (21, 108)  # of a piano

S = TypeVar("S")


class Manner(NamedTuple):
    """How the player played: an answer is in the same tempo, register and thickness."""

    spacing_ns: int = UNKNOWN_SPACING_NS
    low: int = 48
    high: int = 72
    voices: int = 4

    @classmethod
    def of(cls, phrase: Phrase | None) -> Manner:
        return cls(phrase.spacing_ns, phrase.low, phrase.high, phrase.voices) if phrase else cls()


@dataclass(frozen=True)
class Planned(Generic[S]):
    """An event that was sent ahead, and where the network stood before it."""

    due_ns: int
    before: S


@dataclass
class Answer(Generic[S]):
    """An answer under way. It ends by itself: `rest_by_ns`, then `closing`, then `end_ns`."""

    begin_ns: int
    manner: Manner
    length_ns: int
    exact: bool  # end at `length_ns`, to the letter, instead of where the music breathes
    notes: int | None  # end after so many notes
    onset_ns: int = 0  # of the last note planned
    chord_ns: int = 0  # of the first note of its chord
    planned_notes: int = 0
    closing: bool = False
    end_ns: int | None = None  # when the last note ends, once that is planned
    ahead: deque[Planned[S]] = field(default_factory=deque)

    def ends_before_release(self, due_ns: int) -> bool:
        """Whether a note-off at `due_ns` would come after the end."""
        return self.exact and due_ns > self.begin_ns + self.length_ns

    def ends_before(self, onset_ns: int) -> bool:
        """Whether a note at `onset_ns` would come after the end."""
        if self.notes is not None:
            return self.planned_notes >= self.notes
        if self.exact:
            return onset_ns >= self.begin_ns + self.length_ns
        earliest = self.begin_ns + EARLIEST * self.length_ns
        breath = onset_ns - max(self.onset_ns, earliest)
        return breath >= BREATH * self.manner.spacing_ns or onset_ns > self.begin_ns + LATEST * self.length_ns

    def strike(self, onset_ns: int) -> None:
        self.onset_ns = onset_ns
        self.planned_notes += 1
        if onset_ns > self.chord_ns + CHORD_NS:
            self.chord_ns = onset_ns

    @property
    def hurry_ns(self) -> tuple[int, int]:
        """Between these times nothing happens: too late for the last chord, too early for the next."""
        return self.chord_ns + CHORD_NS, self.chord_ns + self.manner.spacing_ns // FASTER

    @property
    def pitches(self) -> tuple[int, int]:
        """The lowest and the highest pitch it may strike."""
        low, high = max(KEYS[0], self.manner.low - BEYOND), min(KEYS[1], self.manner.high + BEYOND)
        return (low, high) if high - low >= 2 * BEYOND else KEYS

    @property
    def most_voices(self) -> int:
        return min(self.manner.voices + MORE_VOICES, MOST_VOICES)

    @property
    def rest_by_ns(self) -> int:
        """By when the next note must begin."""
        return self.onset_ns + max(LONGEST_REST * self.manner.spacing_ns, LEAST_REST_NS)

    @property
    def close_by_ns(self) -> int:
        """By when the last note must have ended."""
        tail = self.onset_ns + TAIL_NS
        return min(tail, self.begin_ns + self.length_ns) if self.exact else tail

    def rewind(self, time_ns: int) -> S | None:
        """Where the network stood after the last event due by `time_ns`; None: nothing is to be undone."""
        return next((planned.before for planned in self.ahead if planned.due_ns > time_ns), None)

    def forget_before(self, time_ns: int) -> None:
        while self.ahead and self.ahead[0].due_ns < time_ns:
            self.ahead.popleft()
