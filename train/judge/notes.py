"""A prepared piece as notes again: when each began and how long it sounded, in ticks and in seconds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from improv.music.timeline import FREE_BPM, TICKS_PER_BEAT
from improv.net import codec
from train.corpora.pieces import Piece

TOGETHER = 2  # ticks: onsets this close are one chord


class Notes(NamedTuple):
    """Notes in the order of their onsets, lower first where two begin together: [N] each."""

    tick: np.ndarray
    start: np.ndarray  # seconds
    length: np.ndarray  # seconds
    pitch: np.ndarray
    velocity: np.ndarray  # 1 to 127; 0 where it says nothing

    def part(self, chosen: np.ndarray | slice) -> Notes:
        return Notes(*(column[chosen] for column in self))

    def from_zero(self, tick: int, start: float) -> Notes:
        return self._replace(tick=self.tick - tick, start=self.start - start)


def seconds(piece: Piece) -> np.ndarray:
    """When each token comes, from the first one on. Between two tokens the tempo of the earlier one holds."""
    bpm = FREE_BPM * 2 ** np.nan_to_num(piece.columns["tempo"].astype(np.float64))
    waits = piece.columns["dt"][1:] * 60 / (TICKS_PER_BEAT * bpm[:-1])
    return np.concatenate(([0.0], np.cumsum(waits)))


def notes(piece: Piece) -> Notes:
    what = piece.columns["what"].astype(int)
    pitch, row = what % codec.PITCHES, np.arange(len(what))
    by_pitch = np.lexsort((row, pitch))  # a pitch begins and ends by turns
    on = by_pitch[what[by_pitch] < codec.OFF]
    off = by_pitch[what[by_pitch] >= codec.OFF]
    order = np.argsort(on)
    on, off = on[order], off[order]
    tick, time = np.cumsum(piece.columns["dt"], dtype=np.int64), seconds(piece)
    bins = piece.columns["velocity"][on].astype(int)
    velocity = np.where(bins < codec.NO_VELOCITY, bins * (128 // codec.VELOCITIES) + 2, 0)
    return in_order(Notes(tick[on], time[on], time[off] - time[on], pitch[on], velocity))


def in_order(found: Notes) -> Notes:
    """A chord that was rolled within `TOGETHER` ticks runs upwards, as any other."""
    found = found.part(np.argsort(found.tick, kind="stable"))
    chord = np.cumsum(np.diff(found.tick, prepend=found.tick[:1]) > TOGETHER)
    return found.part(np.lexsort((found.pitch, chord)))
