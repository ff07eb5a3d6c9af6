"""One pass over a piece as training shows it: transposed, faster, louder, less exact, with less known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from improv.net import codec
from train.corpora.pieces import COLUMNS, Piece, between, packed_held

LATEST = 0.9  # of a piece: a pass begins no later
PLAYER_SPLIT = (48, 73)  # between these pitches a piece is split between two players


@dataclass(frozen=True)
class Amounts:
    """How far a pass may go, either way, and how likely it hides or splits something."""

    transpose: int = 6  # semitones
    louder: float = 0.25  # octaves of velocity
    faster: float = 0.15  # octaves of tempo
    no_clock: float = 0.2  # half of these passes count music in beats as free
    jitter_ticks: float = 1.0  # standard deviation of its times then
    no_style: float = 0.3
    two_players: float = 0.3
    midway: float = 0.3  # begins somewhere in the piece, as a player may who is heard from there on


class Augment(NamedTuple):
    """What one pass over a piece changes."""

    transpose: int = 0
    louder: float = 0.0
    faster: float = 0.0
    clock: bool = True
    free: bool = False  # music in beats is counted as free playing is
    jitter_ticks: float = 0.0
    style: bool = True
    who_split: int = -1  # players are told apart by this pitch; -1 not at all
    who_below: int = 1  # who plays below it
    seed: int = 0
    begin: float = 0.0  # so much of the piece is left out


def draw(piece: Piece, rng: np.random.Generator, amounts: Amounts) -> Augment:
    pitches = piece.columns["what"] % codec.PITCHES
    low, high = int(pitches.min()), int(pitches.max())
    reach = amounts.transpose
    clock = bool(rng.random() >= amounts.no_clock)
    return Augment(
        transpose=int(rng.integers(max(-reach, -low), min(reach, codec.PITCHES - 1 - high) + 1)),
        louder=float(rng.uniform(-1, 1)) * amounts.louder,
        faster=float(rng.uniform(-1, 1)) * amounts.faster,
        clock=clock,
        free=not clock and bool(rng.random() < 0.5),
        jitter_ticks=float(rng.random()) * amounts.jitter_ticks,
        style=bool(rng.random() >= amounts.no_style),
        who_split=int(rng.integers(*PLAYER_SPLIT)) if rng.random() < amounts.two_players else -1,
        who_below=int(rng.integers(1, 3)),
        seed=int(rng.integers(2**31)),
        begin=float(rng.uniform(0, LATEST)) if rng.random() < amounts.midway else 0.0,
    )


def retimed(piece: Piece, how: Augment) -> Piece:
    """The piece from its `begin`, at another tempo: music in beats keeps its ticks, unless it is to count as free."""
    if how.begin:
        rest = between(piece, how.begin, 1.0)
        piece = rest if rest.notes else piece  # where a pedal ends, only notes that began before may be left
    metric = bool(np.isfinite(piece.columns["tempo"]).all())
    if metric and not how.free:
        return piece._replace(columns={**piece.columns, "tempo": piece.columns["tempo"] + np.float16(how.faster)})
    if not metric and not how.faster:
        return piece
    return _moved(piece, _free_ticks(piece, how, how.jitter_ticks if metric else 0.0))


def _free_ticks(piece: Piece, how: Augment, jitter_ticks: float) -> np.ndarray:
    """When each token comes, in ticks of 120 bpm."""
    octaves = np.nan_to_num(piece.columns["tempo"].astype(np.float64)) + how.faster
    ticks = np.cumsum(piece.columns["dt"] / 2**octaves)
    if jitter_ticks:
        ticks += np.random.default_rng(how.seed).normal(0, jitter_ticks, len(ticks))
    return np.round(ticks - ticks.min()).astype(np.int64)


def _moved(piece: Piece, ticks: np.ndarray) -> Piece:
    """The tokens at other ticks, in the order that `codec` gives them; a note keeps at least a tick."""
    what = piece.columns["what"].astype(np.int64)
    ticks = _in_turn(what % codec.PITCHES, what >= codec.OFF, ticks)
    order = np.lexsort((what % codec.PITCHES, what < codec.OFF, ticks))
    ticks = ticks[order]
    columns = {name: piece.columns[name][order] for name in COLUMNS}
    dt = np.minimum(np.diff(ticks, prepend=ticks[0]), codec.DT_LIMIT - 1)
    nothing = np.full(len(ticks), np.nan, np.float16)
    columns |= {
        "dt": dt.astype(np.uint16),
        "phase": np.full(len(ticks), codec.NO_PHASE, np.uint8),
        "bar": nothing,
        "tempo": nothing,
    }
    return piece._replace(columns=columns, held=packed_held(columns["what"]))


def _in_turn(pitch: np.ndarray, off: np.ndarray, ticks: np.ndarray) -> np.ndarray:
    """Each pitch's tokens keep their order: an off comes a tick after its on at least, an on never before an off."""
    by_pitch = np.argsort(pitch, kind="stable")
    least = np.cumsum(off[by_pitch])
    apart = pitch[by_pitch] * (4 * (int(ticks.max()) + len(ticks)) + 1)  # so that one pitch does not wait for another
    moved = np.empty_like(ticks)
    moved[by_pitch] = np.maximum.accumulate(ticks[by_pitch] - least + apart) + least - apart
    return moved
