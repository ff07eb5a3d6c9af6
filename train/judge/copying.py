"""How much of a melody is found, note for note, in the music that was trained on.

A note is taken as a step from the one before it: the interval, and the time between the two onsets in 12 classes
(the ticks of a chord, then half octaves of time around 3, 4.2, 6, 8.5, ... 68 ticks, then longer), so that neither
the key nor a small freedom in time hides a copy. A tick is 1/48 of a beat, so in metric music the tempo hides none.
Eight steps in a row are one 8-gram. N-grams are hashed to 64 bits; of those of the training notes only places where
one that is asked for stands are kept, so an index of ten million notes takes seconds and no more than a few arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from train.judge.notes import TOGETHER, Notes

STEPS = 8
CENTRES = 3 * 2 ** (np.arange(11) / 2)  # ticks
EDGES = np.concatenate(([TOGETHER + 0.5], CENTRES[1:] * 2**-0.25))
CLASSES = len(EDGES) + 1
INTERVALS = 255  # -127 to 127
BORDER = CLASSES * INTERVALS  # between two pieces of the training notes: never asked for
FILTER_BITS = 22
CHUNK = 1 << 21  # steps of the training notes that are looked at in one go

_ODD = (0xD1342543DE82EF95, 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
_MULTIPLIERS = [np.uint64(value) for value in _ODD]


class Copied(NamedTuple):
    """Of one melody."""

    grams: int  # 8-grams in it
    found: int  # of these in the training notes
    longest: int  # steps in a row that stand in the training notes; 0 where not even `STEPS` do

    @property
    def share(self) -> float:
        return self.found / self.grams if self.grams else 0.0


def steps(notes: Notes) -> np.ndarray:
    """One symbol a note but the first, uint16."""
    waits = np.diff(in_chords(notes.tick))
    interval = np.diff(notes.pitch.astype(int))
    return (np.searchsorted(EDGES, waits) * INTERVALS + interval + INTERVALS // 2).astype(np.uint16)


def in_chords(tick: np.ndarray) -> np.ndarray:
    """The first tick of each note's chord, so that a chord's notes are together and the next is a wait away."""
    tick = np.sort(tick)
    first = np.diff(tick, prepend=tick[:1] - TOGETHER - 1) > TOGETHER
    return tick[np.maximum.accumulate(np.where(first, np.arange(len(tick)), 0))]


def join(melodies: Sequence[Notes]) -> np.ndarray:
    """The steps of the training pieces in one row, a border after each."""
    border = np.array([BORDER], np.uint16)
    rows = [row for notes in melodies if len(notes.tick) > STEPS for row in (steps(notes), border)]
    return np.concatenate(rows) if rows else border


def copied(melodies: Sequence[Notes], heard: np.ndarray) -> list[Copied]:
    """What of each melody stands in `heard` (of `join`)."""
    asked = [steps(notes) for notes in melodies]
    grams = [_hashes(row, STEPS) for row in asked]
    places = _places(heard, np.unique(np.concatenate(grams)) if grams else np.zeros(0, np.uint64))
    there = np.unique(_at(heard, places, STEPS))
    found = [np.isin(own, there) for own in grams]
    longest = [STEPS if own.any() else 0 for own in found]
    length = STEPS
    alive = [i for i, own in enumerate(found) if own.any()]
    while alive:
        length += 1
        places = places[places + length <= len(heard)]
        there = np.unique(_at(heard, places, length))
        alive = [i for i in alive if np.isin(_hashes(asked[i], length), there).any()]
        for i in alive:
            longest[i] = length
        wanted = np.concatenate([_hashes(asked[i], length) for i in alive]) if alive else there[:0]
        places = places[np.isin(_at(heard, places, length), wanted)]
    return [Copied(len(own), int(hit.sum()), most) for own, hit, most in zip(grams, found, longest, strict=True)]


def _hashes(row: np.ndarray, length: int) -> np.ndarray:
    """Of every n-gram of a row: [N - length + 1]."""
    if len(row) < length:
        return np.zeros(0, np.uint64)
    return _at(row, np.arange(len(row) - length + 1), length)


def _at(row: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """The hashes of the n-grams that begin at some places."""
    found = np.zeros(len(places), np.uint64)
    for i in range(length):
        found = mix(found, row[places + i].astype(np.uint64))
    return found


def mix(hashes: np.ndarray, symbols: np.ndarray) -> np.ndarray:
    """Each hash with one more symbol (uint64) to its end; a step of splitmix64 (Steele, Lea & Flood 2014)."""
    mixed = hashes * _MULTIPLIERS[0] + symbols + _MULTIPLIERS[1]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MULTIPLIERS[2]
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MULTIPLIERS[3]
    return mixed ^ (mixed >> np.uint64(31))


def _places(heard: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Where in the training notes an 8-gram begins that is asked for (`asked` sorted)."""
    mask = np.uint64((1 << FILTER_BITS) - 1)
    maybe = np.zeros(1 << FILTER_BITS, bool)
    maybe[asked & mask] = True
    found = []
    for begin in range(0, len(heard) - STEPS + 1, CHUNK):
        hashes = _hashes(heard[begin : begin + CHUNK + STEPS - 1], STEPS)
        near = np.flatnonzero(maybe[hashes & mask])
        found.append(begin + near[np.isin(hashes[near], asked)])
    return np.concatenate(found) if found else np.zeros(0, np.int64)
