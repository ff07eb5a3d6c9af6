"""A Markov continuator: goes on from a phrase with notes that followed like ones (Pachet, The Continuator, 2003).

Its memory is a row of notes. To choose the next note it looks for the longest run of the last notes that it has
heard before, up to `LONGEST`, and takes one of the notes that came after such a run, each alike, with its length, its
velocity and the time since the note before it. A note is known by pitch and rhythm class (`copying`), and where the
last one was never heard so, by its pitch; where that is new as well, any note may follow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from train.judge import copying
from train.judge.notes import Notes

LONGEST = 8


class Continuator:
    def __init__(self, melodies: Sequence[Notes]) -> None:
        """Learn from melodies, all of them on beats or all free."""
        rows = [_Row(notes) for notes in melodies if len(notes.tick) > 1]
        self._notes = Notes(*(np.concatenate(columns) for columns in zip(*(row.notes for row in rows), strict=True)))
        self._wait = np.concatenate([row.wait for row in rows])
        age = np.concatenate([np.arange(len(row.wait)) for row in rows])
        last = np.concatenate([np.arange(len(row.wait)) == len(row.wait) - 1 for row in rows])
        symbols = np.concatenate([row.symbols for row in rows])
        self._places, self._hashes = [], []
        for length in range(1, LONGEST + 1):
            ends = np.flatnonzero((age >= length) & ~last)  # the first note of a melody has no wait: no run holds it
            hashes = _runs(symbols, ends, length)
            order = np.argsort(hashes, kind="stable")
            self._places.append(ends[order])
            self._hashes.append(hashes[order])
        self._by_pitch = [np.flatnonzero((self._notes.pitch == pitch) & ~last) for pitch in range(128)]
        self._any = np.flatnonzero(~last)

    def go_on(self, prime: Notes, begin_s: float, end_s: float, tick_s: float, rng: np.random.Generator) -> Notes:
        """Notes from `begin_s`, where the first one stands, to `end_s`, on ticks of `tick_s` seconds from there on."""
        row = _Row(prime)
        symbols, pitch = row.symbols.tolist(), int(prime.pitch[-1])
        tick, chosen, ticks = 0, [], []
        while True:
            place = self._next(symbols, pitch, rng)
            wait = int(self._wait[place]) if chosen else 0
            tick += wait
            if begin_s + tick * tick_s >= end_s:
                break
            pitch = int(self._notes.pitch[place])
            symbols = [*symbols[1 - LONGEST :], int(_symbols(self._notes.pitch[[place]], self._wait[[place]])[0])]
            chosen.append(place)
            ticks.append(tick)
            if len(chosen) >= 4096:  # nothing but chords
                break
        at = np.array(ticks, np.int64)
        copied = self._notes.part(np.array(chosen, np.int64))
        start = begin_s + at * tick_s
        return copied._replace(tick=at, start=start, length=np.minimum(copied.length, end_s - start))

    def _next(self, symbols: Sequence[int], pitch: int, rng: np.random.Generator) -> int:
        for length in range(min(LONGEST, len(symbols)), 0, -1):
            asked = _runs(np.array(symbols[-length:], np.int64), np.array([length - 1]), length)[0]
            hashes = self._hashes[length - 1]
            low, high = np.searchsorted(hashes, asked), np.searchsorted(hashes, asked, "right")
            if high > low:
                return int(self._places[length - 1][rng.integers(low, high)]) + 1
        heard = self._by_pitch[pitch] if len(self._by_pitch[pitch]) else self._any
        return int(rng.choice(heard)) + 1


class _Row:
    """A melody, the ticks since the note before, and its symbols."""

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        chords = copying.in_chords(notes.tick)
        self.wait = np.diff(chords, prepend=chords[:1])
        self.symbols = _symbols(notes.pitch, self.wait)


def _symbols(pitch: np.ndarray, wait: np.ndarray) -> np.ndarray:
    return np.searchsorted(copying.EDGES, wait) * 128 + pitch.astype(np.int64)


def _runs(symbols: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """Hashes of the `length` symbols up to each end."""
    found = np.zeros(len(ends), np.uint64)
    for back in range(length - 1, -1, -1):
        found = copying.mix(found, symbols[ends - back].astype(np.uint64))
    return found
