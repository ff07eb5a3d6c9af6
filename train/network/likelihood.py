"""How probable held-out music is: nats per note, by attribute, over whole pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from improv.net import codec
from train.corpora.pieces import Piece
from train.network import batches, model

ATTRIBUTES = ("dt", "what", "velocity")
WHO = 5  # the column of a token's player
LOG_WIDTH = np.log(codec.DT_WIDTH)  # a coarse bin's residue is uniform


class PieceNats(NamedTuple):
    """One piece's nats by attribute."""

    piece: Piece
    nats: dict[str, float]


class Scored(NamedTuple):
    """One piece token by token, a column an attribute: [N,3]."""

    piece: Piece
    nats: np.ndarray  # 0 where it does not count
    counts: np.ndarray  # bool
    right: np.ndarray  # bool: what came was the likeliest
    sure: np.ndarray  # the probability of the likeliest

    @classmethod
    def blank(cls, piece: Piece) -> Scored:
        size = (len(piece.columns["dt"]), len(ATTRIBUTES))
        return cls(piece, *(np.zeros(size, kind) for kind in (np.float32, bool, bool, np.float32)))

    @property
    def total(self) -> PieceNats:
        sums = self.nats.sum(axis=0, dtype=np.float64).tolist()
        return PieceNats(self.piece, dict(zip(ATTRIBUTES, sums, strict=True)))


class Score(NamedTuple):
    """Nats per note over a set of pieces; velocity counts where a file's velocities mean something."""

    notes: int
    seconds: float
    nats_per_note: float
    by_attribute: dict[str, float]


def total(scored: Sequence[PieceNats]) -> Score:
    notes = sum(s.piece.notes for s in scored)
    by_attribute = {name: sum(s.nats[name] for s in scored) / notes for name in ATTRIBUTES}
    seconds = sum(s.piece.seconds for s in scored)
    return Score(notes, seconds, sum(by_attribute.values()), by_attribute)


def parameters(network: keras.Model) -> dict[str, np.ndarray]:
    """The trained parameters by path: `lstm_0/lstm/lstm_cell/kernel` and so on."""
    return {v.path: keras.ops.convert_to_numpy(v) for v in network.trainable_variables}


def load_parameters(network: keras.Model, values: Mapping[str, np.ndarray]) -> None:
    for variable in network.trainable_variables:
        variable.assign(values[variable.path].astype(np.float32))


def network(values: Mapping[str, np.ndarray], shape: model.Shape, source: Sequence[Piece]) -> list[PieceNats]:
    """Score pieces with the training graph, the state carried through each from its start."""
    return [scored.total for scored in by_token(values, shape, source)]


def by_token(
    values: Mapping[str, np.ndarray],
    shape: model.Shape,
    source: Sequence[Piece],
    batch: int = 32,
    steps: int = 256,
    players: Sequence[np.ndarray] | None = None,
    done: Callable[[int], None] = lambda tokens: None,
) -> list[Scored]:
    """As `network`, token by token. `players` names each token's player, [N] a piece (`codec.WHO`; 0 if not given).

    `done` is told of every window how many tokens it brought.
    """
    batch = max(1, min(batch, len(source)))  # no idle rows
    graph = model.build(shape, batch)
    load_parameters(graph, values)
    scored = [Scored.blank(piece) for piece in source]
    begins = [0] * len(source)
    for window, rows in batches.in_order(source, batch, steps):
        places = [(row, i, begins[i]) for row, i in enumerate(rows) if i >= 0]
        if players is not None:
            for row, i, begin in places:
                heard = players[i][np.maximum(np.arange(begin - 1, min(begin + steps, len(players[i])) - 1), 0)]
                window.tokens[row, : len(heard), WHO] = heard
        logp = graph.predict_on_batch(batches.inputs(window))
        for column, name in enumerate(ATTRIBUTES):
            _fill(scored, places, column, window, name, keras.ops.convert_to_numpy(logp[name]))
        for _, i, begin in places:
            begins[i] = begin + steps
            done(min(steps, len(scored[i].nats) - begin))
    return scored


def _fill(
    scored: Sequence[Scored],
    places: Sequence[tuple[int, int, int]],
    column: int,
    window: batches.Batch,
    name: str,
    logp: np.ndarray,
) -> None:
    """Write what one window gives for one attribute to the pieces in it: (row, piece, first token)."""
    target, counts = window.targets[name], window.weights[name] > 0
    nats = -np.take_along_axis(logp, target[..., None], axis=-1)[..., 0]
    if name == "dt":
        nats = nats + LOG_WIDTH[target]
    right, sure = logp.argmax(axis=-1) == target, np.exp(logp.max(axis=-1))
    for row, i, begin in places:
        end = begin + min(logp.shape[1], len(scored[i].nats) - begin)
        own = slice(0, end - begin)
        scored[i].nats[begin:end, column] = np.where(counts[row, own], nats[row, own], 0)
        scored[i].counts[begin:end, column] = counts[row, own]
        scored[i].right[begin:end, column] = right[row, own]
        scored[i].sure[begin:end, column] = sure[row, own]
