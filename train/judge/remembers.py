"""What the memory of a piece's first half is worth in its second: nats of the network alone, and with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from improv.config import Settings
from improv.net import codec
from improv.net.codec import Token
from improv.net.memory import NO_RUNS, Memory
from train.corpora.pieces import Piece
from train.judge import hears
from train.network import batches
from train.network.likelihood import ATTRIBUTES, LOG_WIDTH, Scored

SAMPLE_NOTES = 100_000  # of whole pieces: the memory is asked token by token
DT, WHAT = ATTRIBUTES.index("dt"), ATTRIBUTES.index("what")


def second_halves(scored: Sequence[Scored], seed: int) -> dict[str, Any]:
    """Nats per note of a sample of the pieces, by corpus as well."""
    chosen = hears.sample(scored, SAMPLE_NOTES, seed)
    pairs = [(s, remembered(s)) for s in chosen]
    corpora = sorted({s.piece.corpus for s in chosen})
    own = {corpus: _beside([pair for pair in pairs if pair[0].piece.corpus == corpus]) for corpus in corpora}
    return {**_beside(pairs), "by_corpus": own}


def remembered(scored: Scored) -> Scored:
    """The same piece, where all of it is the player's and remembered as it is played, as strongly as by default."""
    length = len(scored.nats)
    whole = batches.window(scored.piece, 0, length)
    memory = Memory(Settings().steering.memory)
    runs, last = NO_RUNS, Token(0, codec.START, codec.NO_VELOCITY)
    votes = np.zeros((2, 2, length))  # for what came, and in all, of `dt` and of `what`
    for t, token in enumerate(_tokens(scored.piece)):
        when, which = memory.when(runs), memory.which(runs, last) * whole.allowed[0, t]
        votes[DT, :, t] = when[codec.dt_bin(token.tick - last.tick)], when.sum()
        votes[WHAT, :, t] = which[token.what], which.sum()
        runs = memory.keep(memory.follow(runs, last, token), token)
        last = token
    nats = scored.nats.astype(np.float64)
    for column, width in ((DT, LOG_WIDTH[whole.targets["dt"][0]]), (WHAT, 0.0)):
        came, all_ = votes[column]
        told = width - np.log((np.exp(width - nats[:, column]) + came) / (1 + all_))
        nats[:, column] = np.where(scored.counts[:, column], told, 0)
    return scored._replace(nats=nats)


def _tokens(piece: Piece) -> list[Token]:
    """The first of them at tick 0, where the piece begins."""
    ticks = np.cumsum(piece.columns["dt"], dtype=np.int64)
    columns = (ticks - ticks[0], piece.columns["what"], piece.columns["velocity"])
    return [Token(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _beside(pairs: Sequence[tuple[Scored, Scored]]) -> dict[str, Any]:
    alone, told = zip(*pairs, strict=True)
    halves = [np.arange(len(s.nats)) >= len(s.nats) // 2 for s in alone]
    return {
        "pieces": len(alone),
        "notes": hears.notes_in(alone, halves),
        "without": _by_attribute(alone, halves),
        "with": _by_attribute(told, halves),
    }


def _by_attribute(scored: Sequence[Scored], masks: Sequence[np.ndarray]) -> dict[str, float]:
    """Nats per note in all, and by attribute."""
    notes = max(1, hears.notes_in(scored, masks))
    sums = sum(s.nats[mask].sum(axis=0, dtype=np.float64) for s, mask in zip(scored, masks, strict=True)) / notes
    return {"total": float(sums.sum()), **dict(zip(ATTRIBUTES, sums.tolist(), strict=True))}
