"""Interpolated Witten-Bell: how probable the next token's parts are after the tokens before it.

After a context seen N times with T different symbols, p(x) = (count(x) + T * p_shorter(x)) / (N + T), from
the longest context down to a uniform choice (Witten & Bell 1991). Symbols that the network's mask forbids
are left out at every length, so each distribution sums to 1 over what is possible. Contexts are hashed to
55 bits and their counts kept in sorted arrays: two contexts of 5 M share a hash once in 3,000 runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from improv.net import codec
from train.corpora.pieces import Piece
from train.network import batches

MAX_ORDER = 8
CHUNK = 4096  # events whose whole distributions are held at once
SYMBOL_BITS = 9  # of a packed key; the rest is the hash of the context
CLASSES = {"dt": codec.DTS, "what": codec.WHATS, "velocity": codec.VELOCITIES}
COLUMNS = ("piece", "age", "tick", "dt", "what", "velocity", "phase", "sounding")
MIDDLE_C = 60  # where a piece's first interval is counted from


class Events(NamedTuple):
    """The tokens of many pieces end to end, a row a token.

    `piece` is its index, `age` counts from its start, `dt` is a bin, `sounding` is how many pitches sound before
    the token. `allowed` bool [N,256] is there for scoring only: for the training notes it would take gigabytes.
    """

    piece: np.ndarray
    age: np.ndarray
    tick: np.ndarray
    dt: np.ndarray
    what: np.ndarray
    velocity: np.ndarray
    phase: np.ndarray
    sounding: np.ndarray
    counts: dict[str, np.ndarray]  # bool [N] by attribute: whether `likelihood` counts it
    allowed: np.ndarray | None = None

    def of(self, attribute: str) -> Events:
        """Velocities follow one another among the note-ons that have one, the rest among all tokens."""
        if attribute != "velocity":
            return self
        rows = np.flatnonzero(self.counts["velocity"])
        begin = np.flatnonzero(np.diff(self.piece[rows], prepend=-1))
        age = np.arange(len(rows)) - np.repeat(begin, np.diff(np.append(begin, len(rows))))
        columns = {name: getattr(self, name)[rows] for name in COLUMNS}
        counts = {name: column[rows] for name, column in self.counts.items()}
        return Events(**{**columns, "age": age}, counts=counts)


def events(source: Sequence[Piece], masks: bool) -> Events:
    """Pieces as rows, through the same windows that the network is trained and scored on."""
    parts = [_events(i, piece, masks) for i, piece in enumerate(source)]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in CLASSES}
    return Events(**columns, counts=counts, allowed=np.concatenate([p.allowed for p in parts]) if masks else None)


def _events(i: int, piece: Piece, masks: bool) -> Events:
    length = len(piece.columns["dt"])
    window = batches.window(piece, 0, length)
    return Events(
        piece=np.full(length, i, np.int32),
        age=np.arange(length, dtype=np.int32),
        tick=np.cumsum(piece.columns["dt"], dtype=np.int32),
        dt=window.targets["dt"][0].astype(np.int16),
        what=window.targets["what"][0].astype(np.int16),
        velocity=piece.columns["velocity"].astype(np.int16),
        phase=window.known[0, :, 1].astype(np.int16),
        sounding=window.context[0, :, : codec.PITCHES].sum(axis=1).astype(np.int16),
        counts={name: window.weights[name][0] > 0 for name in CLASSES},
        allowed=window.allowed[0] if masks else None,
    )


class Chain(NamedTuple):
    """Contexts from short to long: order 0 knows `given`, order n also `view` of each of the n tokens before.

    With a `reference` pitch the symbols of `what` are distances from it, so they do not mind the key.
    """

    name: str
    attribute: str
    given: Callable[[Events], Sequence[np.ndarray]]
    view: Callable[[Events, int], Sequence[np.ndarray]]
    reference: Callable[[Events], np.ndarray] | None = None


def _lag(rows: Events, column: np.ndarray, back: int, blank: int) -> np.ndarray:
    """`column` so many rows earlier in the same piece, `blank` before its start."""
    out = np.full_like(column, blank)
    out[back:] = column[:-back]
    out[rows.age < back] = blank
    return out


def _token(rows: Events, back: int) -> Sequence[np.ndarray]:
    return _lag(rows, rows.dt, back, -1), _lag(rows, rows.what, back, codec.START)


def _rhythm(rows: Events, back: int) -> Sequence[np.ndarray]:
    """Ticks and whether a note began or ended, whichever it was."""
    return _lag(rows, rows.dt, back, -1), _lag(rows, rows.what // codec.OFF, back, 2)


def _last_pitch(rows: Events) -> np.ndarray:
    return _lag(rows, rows.what % codec.PITCHES, 1, MIDDLE_C)


def _interval(rows: Events, back: int) -> Sequence[np.ndarray]:
    return *_rhythm(rows, back), _lag(rows, rows.what % codec.PITCHES, back, MIDDLE_C) - _last_pitch(rows)


def _velocity(rows: Events, back: int) -> Sequence[np.ndarray]:
    return (_lag(rows, rows.velocity, back, -1),)


def _gap(rows: Events) -> np.ndarray:
    """Ticks since the row before, as a bin."""
    return codec.DT_BIN[np.clip(rows.tick - _lag(rows, rows.tick, 1, 0), 0, codec.DT_LIMIT - 1)]


def _few(rows: Events) -> np.ndarray:
    """How many pitches sound; 8 stands for more."""
    return np.minimum(rows.sounding, 8)


CHAINS = (
    Chain("tokens", "dt", lambda rows: (), _token),
    Chain("rhythm", "dt", lambda rows: (), _rhythm),
    Chain("rhythm in the beat", "dt", lambda rows: (rows.phase,), _rhythm),
    Chain("tokens", "what", lambda rows: (rows.dt,), _token),
    Chain("intervals", "what", lambda rows: (rows.dt,), _interval, _last_pitch),
    Chain("intervals in the chord", "what", lambda rows: (rows.dt, _few(rows)), _interval, _last_pitch),
    Chain("intervals in the beat", "what", lambda rows: (rows.dt, _few(rows), rows.phase), _interval, _last_pitch),
    Chain("velocities", "velocity", lambda rows: (), _velocity),
    Chain("velocities in time", "velocity", lambda rows: (_gap(rows),), _velocity),
    Chain("velocities of a pitch", "velocity", lambda rows: (rows.dt, rows.what), _velocity),
)


def _fold(key: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Fold a column into 64-bit keys (splitmix64)."""
    key = (key ^ column.astype(np.int64).view(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def _keys(chain: Chain, rows: Events, orders: int) -> Iterator[np.ndarray]:
    """The hashed contexts of order 0 to `orders`, uint64 [N] each."""
    key = np.zeros(len(rows.dt), np.uint64)
    for column in chain.given(rows):
        key = _fold(key, column)
    yield key
    for order in range(1, orders + 1):
        for column in chain.view(rows, order):
            key = _fold(key, column)
        yield key


def _symbols(chain: Chain, rows: Events) -> np.ndarray:
    """What follows the contexts: a class of the attribute, or 256 * off + distance + 128."""
    target = getattr(rows, chain.attribute).astype(np.int64)
    if chain.reference is None:
        return target
    off, pitch = target // codec.OFF, target % codec.PITCHES
    return 2 * codec.PITCHES * off + pitch - chain.reference(rows) + codec.PITCHES


class Table(NamedTuple):
    """What followed each context of one order: context c has the entries `first[c]` to `first[c + 1]`."""

    contexts: np.ndarray  # uint64, sorted
    first: np.ndarray
    symbols: np.ndarray
    counts: np.ndarray

    def spans(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the entries after each key begin, and how many they are (0: never seen)."""
        keys = keys >> np.uint64(SYMBOL_BITS)
        place = np.minimum(np.searchsorted(self.contexts, keys), len(self.contexts) - 1)
        size = self.first[place + 1] - self.first[place]
        return self.first[place], np.where(self.contexts[place] == keys, size, 0)


def _table(keys: np.ndarray, symbols: np.ndarray) -> Table:
    packed = (keys >> np.uint64(SYMBOL_BITS) << np.uint64(SYMBOL_BITS)) | symbols.astype(np.uint64)
    packed, counts = np.unique(packed, return_counts=True)
    contexts = packed >> np.uint64(SYMBOL_BITS)
    first = np.flatnonzero(np.append(True, contexts[1:] != contexts[:-1]))
    symbols = (packed & np.uint64(2**SYMBOL_BITS - 1)).astype(np.int16)
    return Table(contexts[first], np.append(first, len(packed)), symbols, counts.astype(np.float32))


def learn(chain: Chain, rows: Events, orders: int) -> list[Table]:
    """Count what followed the contexts of order 0 to `orders`."""
    counted = rows.counts[chain.attribute]
    symbols = _symbols(chain, rows)[counted]
    return [_table(key[counted], symbols) for key in _keys(chain, rows, orders)]


def _dense(table: Table, keys: np.ndarray, classes: int, reference: np.ndarray | None) -> np.ndarray:
    """Counts of every class after each key: [B,classes]."""
    begin, size = table.spans(keys)
    row = np.repeat(np.arange(len(keys)), size)
    entry = np.arange(len(row)) + np.repeat(begin - (np.cumsum(size) - size), size)
    column, counts = table.symbols[entry].astype(np.int64), table.counts[entry]
    if reference is not None:
        off, distance = column // (2 * codec.PITCHES), column % (2 * codec.PITCHES) - codec.PITCHES
        pitch = distance + reference[row]
        exists = (pitch >= 0) & (pitch < codec.PITCHES)
        row, counts, column = row[exists], counts[exists], (codec.PITCHES * off + pitch)[exists]
    dense = np.zeros((len(keys), classes))
    dense[row, column] = counts
    return dense


def allowed(attribute: str, rows: Events, chunk: slice = slice(None)) -> np.ndarray:
    """Which classes are possible, bool [N,classes]; only `what` is masked."""
    if attribute == "what" and rows.allowed is not None:
        return rows.allowed[chunk]
    return np.ones((len(rows.dt[chunk]), CLASSES[attribute]), bool)


def chances(chain: Chain, tables: Sequence[Table], rows: Events) -> np.ndarray:
    """Probability of what really came, by the order of the model that is asked: [orders + 1,N]."""
    target = getattr(rows, chain.attribute).astype(np.int64)
    reference = None if chain.reference is None else chain.reference(rows)
    keys = list(_keys(chain, rows, len(tables) - 1))
    found = np.empty((len(tables), len(target)))
    for begin in range(0, len(target), CHUNK):
        chunk = slice(begin, begin + CHUNK)
        mask = allowed(chain.attribute, rows, chunk)
        p = mask / mask.sum(axis=1, keepdims=True)
        for order, table in enumerate(tables):
            near = None if reference is None else reference[chunk]
            counts = _dense(table, keys[order][chunk], mask.shape[1], near) * mask
            kinds, seen = np.count_nonzero(counts, axis=1)[:, None], counts.sum(axis=1, keepdims=True)
            p = np.where(seen > 0, (counts + kinds * p) / np.maximum(seen + kinds, 1), p)
            found[order, chunk] = p[np.arange(len(p)), target[chunk]]
    return found
