"""Prepared arrays to training windows, with the recurrent state carried from one to the next."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from improv.errors import BadInput
from improv.net import codec

TIERS = {
    "open": ("permissive", "permissive_caveat", "own"),
    "concert": ("permissive", "permissive_caveat", "own", "nc"),
}
MINOR_SHARE = {"js_fakes": 0.03}  # machine-made chorales: at most this share of the windows


@dataclass(frozen=True)
class Corpus:
    """One prepared file, whole in memory; `start[i]` is the first row of piece i."""

    name: str
    columns: dict[str, np.ndarray]
    info: dict[str, np.ndarray]

    @cached_property
    def start(self) -> np.ndarray:
        return np.concatenate(([0], np.cumsum(self.info["length"])))


class Piece(NamedTuple):
    """A view of one piece's rows; `held[t]` (packed bits) is what sounds after token t."""

    corpus: str
    name: str
    columns: dict[str, np.ndarray]
    held: np.ndarray
    style: int
    notes: int
    seconds: float


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


def load(folder: Path, names: Sequence[str] | None = None) -> list[Corpus]:
    """Every prepared corpus in a folder. Raises `BadInput` where one is damaged or of another codec."""
    corpora = []
    for path in sorted(folder.glob("*.npz")):
        if path.name.endswith(".partial.npz") or (names is not None and path.stem not in names):
            continue
        corpora.append(_load(path))
    return corpora


def _load(path: Path) -> Corpus:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files}
        fingerprint = str(data.pop("fingerprint"))
        columns = {key: data.pop(key) for key in ("dt", "what", "velocity", "phase", "bar", "tempo")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise BadInput(f"{path}: it is damaged; delete it and run prepare again") from None
    if fingerprint != codec.FINGERPRINT:
        raise BadInput(f"{path}: made by another version of the codec; delete it and run prepare again")
    return Corpus(path.stem, columns, data)


def pieces(corpora: Sequence[Corpus], split: str, part: str, tiers: Sequence[str] | None = None) -> list[Piece]:
    """The pieces whose column `split` ("split" or "split_free") says `part`."""
    found = []
    for corpus in corpora:
        wanted = corpus.info[split] == part
        if tiers is not None:
            wanted &= np.isin(corpus.info["tier"], tiers)
        found += [_piece(corpus, i) for i in np.flatnonzero(wanted)]
    return found


def _piece(corpus: Corpus, i: int) -> Piece:
    rows = slice(corpus.start[i], corpus.start[i + 1])
    columns = {key: column[rows] for key, column in corpus.columns.items()}
    info = corpus.info
    held = packed_held(columns["what"])
    name, seconds = str(info["name"][i]), float(info["seconds"][i])
    return Piece(corpus.name, name, columns, held, int(info["style"][i]), int(info["notes"][i]), seconds)


def packed_held(what: np.ndarray) -> np.ndarray:
    """What sounds after each token: bool [N,128] packed to uint8 [N,16]."""
    change = np.zeros((len(what), codec.PITCHES), np.int8)
    rows = np.arange(len(what))
    change[rows, what % codec.PITCHES] = np.where(what < codec.OFF, 1, -1)
    return np.packbits(np.cumsum(change, axis=0, dtype=np.int8) > 0, axis=1)


class Augment(NamedTuple):
    """What one pass over a piece changes; `who_split` names the players by a pitch, -1 not at all."""

    transpose: int = 0
    louder: int = 0
    clock: bool = True
    style: bool = True
    who_split: int = -1


def draw_augment(piece: Piece, rng: np.random.Generator, transpose: int) -> Augment:
    pitches = piece.columns["what"] % codec.PITCHES
    low, high = int(pitches.min()), int(pitches.max())
    return Augment(
        int(rng.integers(max(-transpose, -low), min(transpose, codec.PITCHES - 1 - high) + 1)),
        int(rng.integers(-2, 3)),
        bool(rng.random() < 0.8),
        bool(rng.random() < 0.7),
        int(rng.integers(48, 73)) if rng.random() < 0.3 else -1,
    )


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
    louder = np.clip(velocity + augment.louder, 0, codec.VELOCITIES - 1)
    velocity = np.where(velocity < codec.NO_VELOCITY, louder, velocity)
    dt = codec.DT_BIN[columns["dt"][real]]
    phase = columns["phase"][real].astype(np.int32) if augment.clock else np.full(len(rows), codec.NO_PHASE)
    held = np.unpackbits(piece.held[real], axis=1).astype(bool)
    held[rows < 0] = False
    held = np.roll(held, augment.transpose, axis=1)
    who = 1 + (pitch >= augment.who_split) if augment.who_split >= 0 else np.zeros(len(rows), np.int32)
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


class Streams:
    """B streams of pieces, each read window by window from its start to its end.

    Longer pieces come up more often, so that every note counts alike; a minor corpus keeps to its
    share. The same seed and the same number of batches drawn give the same batch.
    """

    def __init__(self, source: Sequence[Piece], batch: int, steps: int, seed: int, transpose: int) -> None:
        self._source, self._steps, self._transpose = source, steps, transpose
        self._rng = np.random.default_rng(seed)
        length = np.array([float(len(piece.columns["dt"])) for piece in source])
        for corpus, share in MINOR_SHARE.items():
            minor = np.array([piece.corpus == corpus for piece in source])
            if minor.any() and not minor.all():
                length[minor] *= min(1.0, share / (1 - share) * length[~minor].sum() / length[minor].sum())
        # A piece is drawn with the chance of its windows over its own number of windows.
        windows = np.ceil(np.array([len(p.columns["dt"]) for p in source]) / steps)
        self._chance = length / windows / (length / windows).sum()
        self._cursors = [self._new(at_random=True) for _ in range(batch)]

    def _new(self, at_random: bool = False) -> tuple[Piece, int, Augment]:
        piece = self._source[int(self._rng.choice(len(self._source), p=self._chance))]
        begin = 0
        if at_random:  # the first pieces start anywhere, so that the streams do not march in step
            begin = int(self._rng.integers(0, len(piece.columns["dt"]) // self._steps + 1)) * self._steps
            begin = 0 if begin >= len(piece.columns["dt"]) else begin
        return piece, begin, draw_augment(piece, self._rng, self._transpose)

    def state(self) -> dict[str, object]:
        """Where the streams stand, ready for JSON."""
        places = {id(piece): i for i, piece in enumerate(self._source)}
        cursors = [(places[id(piece)], begin, list(augment)) for piece, begin, augment in self._cursors]
        return {"rng": self._rng.bit_generator.state, "cursors": cursors}

    def restore(self, state: dict[str, object]) -> None:
        self._rng.bit_generator.state = state["rng"]
        cursors: list[tuple[int, int, list[int]]] = state["cursors"]  # type: ignore[assignment]
        self._cursors = [(self._source[place], begin, Augment(*augment)) for place, begin, augment in cursors]

    def next(self) -> Batch:
        windows = []
        for i, (piece, begin, augment) in enumerate(self._cursors):
            windows.append(window(piece, begin, self._steps, augment))
            begin += self._steps
            at_end = begin >= len(piece.columns["dt"])
            self._cursors[i] = self._new() if at_end else (piece, begin, augment)
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
