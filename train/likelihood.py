"""How probable held-out music is: nats per note, by attribute, over whole pieces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import numpy as np

from improv.net import codec
from train import batches, model

ATTRIBUTES = ("dt", "what", "velocity")
LOG_WIDTH = np.log(codec.DT_WIDTH)  # a coarse bin's residue is uniform


class PieceNats(NamedTuple):
    """One piece's nats by attribute."""

    piece: batches.Piece
    nats: dict[str, float]


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


def network(
    values: Mapping[str, np.ndarray],
    shape: model.Shape,
    source: Sequence[batches.Piece],
    batch: int = 32,
    steps: int = 256,
) -> list[PieceNats]:
    """Score pieces with the training graph, the state carried through each from its start."""
    graph = model.build(shape, batch)
    load_parameters(graph, values)
    sums = np.zeros((len(source) + 1, len(ATTRIBUTES)))
    for window, rows in batches.in_order(source, batch, steps):
        logp = graph.predict_on_batch(batches.inputs(window))
        for column, name in enumerate(ATTRIBUTES):
            target = window.targets[name]
            nats = -np.take_along_axis(keras.ops.convert_to_numpy(logp[name]), target[..., None], axis=-1)[..., 0]
            if name == "dt":
                nats = nats + LOG_WIDTH[target]
            np.add.at(sums[:, column], rows, (nats * window.weights[name]).sum(axis=1))
    by_piece = [dict(zip(ATTRIBUTES, row.tolist(), strict=True)) for row in sums[:-1]]  # the last row took the idle
    return [PieceNats(piece, nats) for piece, nats in zip(source, by_piece, strict=True)]
