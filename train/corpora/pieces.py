"""Prepared arrays, read again: corpora, and the pieces in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from improv.errors import BadInput
from improv.net import codec
from train.corpora import arrays, prepare

COLUMNS = tuple(prepare.COLUMNS)
INFO = ("length", "notes", "seconds", "name", "split", "split_free", "style", "tier", "licence")
TIERS = {
    "open": ("permissive", "permissive_caveat", "own"),
    "concert": ("permissive", "permissive_caveat", "own", "nc"),
}


@dataclass(frozen=True)
class Corpus:
    """One prepared file, whole in memory; `start[i]` is the first row of piece i."""

    name: str
    columns: dict[str, np.ndarray]
    info: dict[str, np.ndarray]

    @cached_property
    def start(self) -> np.ndarray:
        return np.concatenate(([0], np.cumsum(self.info["length"])))

    def piece(self, i: int) -> Piece:
        rows = slice(self.start[i], self.start[i + 1])
        columns = {key: column[rows] for key, column in self.columns.items()}
        name, style, notes, seconds = (self.info[key][i].item() for key in ("name", "style", "notes", "seconds"))
        return Piece(self.name, name, columns, packed_held(columns["what"]), style, notes, seconds)


class Piece(NamedTuple):
    """A view of one piece's rows; `held[t]` (packed bits) is what sounds after token t."""

    corpus: str
    name: str
    columns: dict[str, np.ndarray]
    held: np.ndarray
    style: int
    notes: int
    seconds: float


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
        data = arrays.read(path)
        fingerprint = str(data.pop("fingerprint"))
    except (OSError, arrays.Damaged, KeyError):
        raise BadInput(f"{path}: it is damaged; delete it and run prepare again") from None
    if fingerprint != codec.FINGERPRINT:
        raise BadInput(f"{path}: made by another version of the codec; delete it and run prepare again")
    if not _whole(data):
        raise BadInput(f"{path}: made by another version of prepare, or damaged; delete it and run prepare again")
    return Corpus(path.stem, {key: data.pop(key) for key in COLUMNS}, data)


def _whole(data: Mapping[str, np.ndarray]) -> bool:
    """Whether every column is there, for each token of each piece."""
    if not set(COLUMNS) | set(INFO) <= set(data):
        return False
    length = data["length"]
    return (
        length.dtype.kind == "i"
        and length.ndim == 1
        and bool((length > 0).all())
        and all(data[key].shape == (length.sum(),) for key in COLUMNS)
        and all(data[key].dtype == kind for key, kind in prepare.COLUMNS.items())
        and all(data[key].shape == length.shape for key in INFO)
        and bool(np.isin(data["style"], np.arange(len(codec.STYLES))).all())
    )


def pieces(corpora: Sequence[Corpus], split: str, part: str, tiers: Sequence[str] | None = None) -> list[Piece]:
    """The pieces whose column `split` ("split" or "split_free") says `part`."""
    found = []
    for corpus in corpora:
        wanted = corpus.info[split] == part
        if tiers is not None:
            wanted &= np.isin(corpus.info["tier"], tiers)
        found += [corpus.piece(i) for i in np.flatnonzero(wanted)]
    return found


def between(piece: Piece, begin: float, end: float) -> Piece:
    """A stretch of a piece, as shares of its tokens; notes that began before it are not in it."""
    length = len(piece.columns["dt"])
    rows = np.arange(round(begin * length), round(end * length))
    what = piece.columns["what"][rows]
    first = np.unique(what % codec.PITCHES, return_index=True)[1]
    kept = np.ones(len(rows), bool)
    kept[first[what[first] >= codec.OFF]] = False
    ticks = np.cumsum(piece.columns["dt"][rows].astype(np.int64))[kept]
    columns = {name: column[rows][kept] for name, column in piece.columns.items()}
    columns["dt"] = np.minimum(np.diff(ticks, prepend=ticks[:1]), codec.DT_LIMIT - 1).astype(piece.columns["dt"].dtype)
    return piece._replace(
        columns=columns,
        held=packed_held(columns["what"]),
        notes=int((columns["what"] < codec.OFF).sum()),
        seconds=piece.seconds * float(kept.sum() / length),
    )


def packed_held(what: np.ndarray) -> np.ndarray:
    """What sounds after each token: bool [N,128] packed to uint8 [N,16]."""
    change = np.zeros((len(what), codec.PITCHES), np.int8)
    rows = np.arange(len(what))
    change[rows, what % codec.PITCHES] = np.where(what < codec.OFF, 1, -1)
    return np.packbits(np.cumsum(change, axis=0, dtype=np.int8) > 0, axis=1)
