"""Pieces to training windows, with the recurrent state carried from one to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from improv.net import codec
from train.corpora.pieces import Piece
from train.network.augment import Amounts, Augment, draw, retimed

NO_EMPHASIS: Mapping[str, float] = MappingProxyType({})
MINOR_SHARE = {"js_fakes": 0.03}  # machine-made chorales: at most this share of the windows


class Batch(NamedTuple):
    """Inputs and targets of B windows of T tokens.

    tokens int32 [B,T,6]: dt bin, what, velocity, phase, style, who. context float32 [B,T,132]:
    what sounds, clock. known int32 [B,T,2]: the target's dt bin and phase, which the later
    attributes see. allowed bool [B,T,256]. keep float32 [B,1]: 0 where a piece begins.
    targets int32 and weights float32 by attribute, [B,T].
    """

    tokens: np.ndarray
    context: np.ndarray
    known: np.ndarray
    allowed: np.ndarray
    keep: np.ndarray
    targets: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def window(piece: Piece, begin: int, steps: int, augment: Augment = Augment()) -> Batch:
    """Tokens begin-1 ... begin+steps-2 as inputs, the ones after them as targets (B = 1).

    Before the first token stands START, whose `dt` is given, so the first target's `dt` is not counted.
    """
    columns = piece.columns
    rows = np.arange(begin - 1, min(begin + steps, len(columns["dt"])))
    real = np.maximum(rows, 0)
    what = columns["what"][real].astype(np.int32)
    pitch = what % codec.PITCHES
    what += augment.transpose
    velocity = columns["velocity"][real].astype(np.int32)
    louder = np.clip(np.round(velocity * 2**augment.louder), 0, codec.VELOCITIES - 1).astype(np.int32)
    velocity = np.where(velocity < codec.NO_VELOCITY, louder, velocity)
    dt = codec.DT_BIN[columns["dt"][real]]
    phase = columns["phase"][real].astype(np.int32) if augment.clock else np.full(len(rows), codec.NO_PHASE)
    held = np.unpackbits(piece.held[real], axis=1).astype(bool)
    held[rows < 0] = False
    held = np.roll(held, augment.transpose, axis=1)
    who = np.zeros(len(rows), np.int32)
    if augment.who_split >= 0:
        who = np.where(pitch < augment.who_split, augment.who_below, 3 - augment.who_below)
    style = np.full(len(rows), piece.style if augment.style else 0)
    what[rows < 0], velocity[rows < 0] = codec.START, codec.NO_VELOCITY
    tokens = np.stack((dt, what, velocity, phase, style, who), axis=-1)
    known = np.stack((dt, phase), axis=-1)[1:]
    context = np.concatenate((held, _clock(piece, real, augment.clock)), axis=1)
    counted = np.ones(len(rows) - 1)
    weights = {
        "dt": counted * (rows[:-1] >= 0),
        "what": counted,
        "velocity": counted * (what[1:] < codec.OFF) * (velocity[1:] < codec.NO_VELOCITY),
    }
    targets = {"dt": dt[1:], "what": what[1:], "velocity": np.minimum(velocity[1:], codec.VELOCITIES - 1)}
    return Batch(
        _pad(tokens[:-1], steps, np.int32),
        _pad(context[:-1], steps, np.float32),
        _pad(known, steps, np.int32),
        _pad(_allowed(held[:-1], what[:-1], dt[1:]), steps, bool, fill=True),
        np.full((1, 1), begin > 0, np.float32),
        {key: _pad(value, steps, np.int32) for key, value in targets.items()},
        {key: _pad(value, steps, np.float32) for key, value in weights.items()},
    )


def _clock(piece: Piece, rows: np.ndarray, known: bool) -> np.ndarray:
    """As `codec.clock`, for many rows."""
    bar, tempo = (piece.columns[key][rows].astype(np.float32) for key in ("bar", "tempo"))
    on = np.isfinite(bar) & known
    turn = 2 * np.pi * bar
    return np.where(on[:, None], np.stack((np.ones_like(bar), np.sin(turn), np.cos(turn), tempo), axis=-1), 0.0)


def _allowed(held: np.ndarray, last: np.ndarray, dt: np.ndarray) -> np.ndarray:
    """As `codec.allowed`, for many rows."""
    mask = np.concatenate((~held, held), axis=1)
    chord = (dt == 0) & (last < codec.START)
    last = last[:, None]
    column = np.arange(codec.WHATS)[None]
    after_off = (column < codec.OFF) | (column > last)
    after_on = (column > last) & (column < codec.OFF)
    return mask & np.where(chord[:, None], np.where(last >= codec.OFF, after_off, after_on), True)


def _pad(rows: np.ndarray, steps: int, dtype: type, fill: object = 0) -> np.ndarray:
    padded = np.full((1, steps, *rows.shape[1:]), fill, dtype)
    padded[0, : len(rows)] = rows
    return padded


def stack(windows: Sequence[Batch]) -> Batch:
    def join(parts: Sequence[object]) -> object:
        if isinstance(parts[0], dict):
            return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}  # type: ignore[index,attr-defined]
        return np.concatenate(parts)  # type: ignore[arg-type]

    return Batch(*(join(column) for column in zip(*windows, strict=True)))  # type: ignore[arg-type]


class _Cursor(NamedTuple):
    """Where one stream reads: a piece by its place in the source, as this pass shows it."""

    place: int
    begin: int
    augment: Augment
    shown: Piece


class Streams:
    """B streams of pieces, each read window by window from its start to its end.

    Longer pieces come up more often, so that every note counts alike but for the emphasis on its corpus;
    a minor corpus keeps to its share. The same seed and the same number of batches drawn give the same batch.
    """

    def __init__(
        self,
        source: Sequence[Piece],
        batch: int,
        steps: int,
        seed: int,
        amounts: Amounts,
        emphasis: Mapping[str, float] = NO_EMPHASIS,
    ) -> None:
        self._source, self._steps, self._amounts = source, steps, amounts
        self._rng = np.random.default_rng(seed)
        length = np.array([len(piece.columns["dt"]) * emphasis.get(piece.corpus, 1.0) for piece in source])
        for corpus, share in MINOR_SHARE.items():
            minor = np.array([piece.corpus == corpus for piece in source])
            if minor.any() and not minor.all():
                length[minor] *= min(1.0, share / (1 - share) * length[~minor].sum() / length[minor].sum())
        # A piece is drawn with the chance of its windows over its own number of windows.
        windows = np.ceil(np.array([len(p.columns["dt"]) for p in source]) / steps)
        self._chance = length / windows / (length / windows).sum()
        self._cursors = [self._new(at_random=True) for _ in range(batch)]

    def _new(self, at_random: bool = False) -> _Cursor:
        place = int(self._rng.choice(len(self._source), p=self._chance))
        augment = draw(self._source[place], self._rng, self._amounts)
        shown = retimed(self._source[place], augment)
        begin = 0
        if at_random:  # the first pieces start anywhere, so that the streams do not march in step
            begin = int(self._rng.integers(0, (len(shown.columns["dt"]) - 1) // self._steps + 1)) * self._steps
        return _Cursor(place, begin, augment, shown)

    def state(self) -> dict[str, object]:
        """Where the streams stand, ready for JSON."""
        cursors = [(cursor.place, cursor.begin, list(cursor.augment)) for cursor in self._cursors]
        return {"rng": self._rng.bit_generator.state, "cursors": cursors}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._rng.bit_generator.state = state["rng"]
        taken_up = [(place, begin, Augment(*augment)) for place, begin, augment in state["cursors"]]
        self._cursors = [_Cursor(p, begin, how, retimed(self._source[p], how)) for p, begin, how in taken_up]

    def next(self) -> Batch:
        windows = [window(cursor.shown, cursor.begin, self._steps, cursor.augment) for cursor in self._cursors]
        moved = [cursor._replace(begin=cursor.begin + self._steps) for cursor in self._cursors]
        self._cursors = [cursor if cursor.begin < len(cursor.shown.columns["dt"]) else self._new() for cursor in moved]
        return stack(windows)


def in_order(source: Sequence[Piece], batch: int, steps: int) -> Iterator[tuple[Batch, list[int]]]:
    """Every window of every piece once, with the index of each row's piece (-1: an idle row).

    Longest pieces first, each to the row that is free soonest.
    """
    waiting = sorted(range(len(source)), key=lambda i: len(source[i].columns["dt"]))
    rows: list[tuple[int, int]] = [(-1, 0)] * batch
    while True:
        for row, (i, begin) in enumerate(rows):
            if i < 0 or begin >= len(source[i].columns["dt"]):
                rows[row] = (waiting.pop(), 0) if waiting else (-1, 0)
        if all(i < 0 for i, _ in rows):
            return
        windows = [window(source[i], begin, steps) if i >= 0 else _idle(source[0], steps) for i, begin in rows]
        yield stack(windows), [i for i, _ in rows]
        rows = [(i, begin + steps) for i, begin in rows]


def _idle(piece: Piece, steps: int) -> Batch:
    blank = window(piece, 0, steps)
    return blank._replace(weights={key: np.zeros_like(weight) for key, weight in blank.weights.items()})


def inputs(batch: Batch) -> dict[str, np.ndarray]:
    """What the training graph takes, by name."""
    return {
        "tokens": batch.tokens,
        "context": batch.context,
        "known": batch.known,
        "allowed": batch.allowed,
        "keep": batch.keep,
        "target_what": batch.targets["what"],
    }
