"""The network in plain Keras 3: embeddings, a stack of LSTMs, and one head an attribute.

The attributes of a token are predicted one after the other: `dt`, then `what` given `dt`, then
`velocity` given both. The graph trains on any Keras backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from improv.net import codec
from train.network import recurrence

# name, vocabulary, width: the columns of `tokens`
EMBEDDINGS = (
    ("dt", codec.DTS, 96),
    ("what", codec.WHATS + 1, 192),
    ("velocity", codec.VELOCITIES + 1, 32),
    ("phase", codec.NO_PHASE + 1, 32),
    ("style", len(codec.STYLES), 16),
    ("who", len(codec.WHO), 8),
)


@dataclass(frozen=True)
class Shape:
    """The size of a network, as its card states it."""

    layers: int = 2
    units: int = 512
    context: int = 136  # width of what sounds and the clock, after their dense layer
    what: int = 256  # width of the hidden layer before `what`
    velocity: int = 128

    @property
    def state(self) -> int:
        return 2 * self.layers * self.units


@keras.saving.register_keras_serializable("improv")
class CarriedLSTM(keras.layers.Layer):
    """An LSTM that goes on from where its last batch ended; `keep` 0 starts a row afresh."""

    def __init__(self, units: int, batch: int, precision: str = "float32", **kwargs: object) -> None:
        super().__init__(**kwargs)
        dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
        self.lstm = keras.layers.LSTM(units, return_sequences=True, return_state=True, dtype=dtype, name="lstm")
        self.units, self.batch = units, batch

    def build(self, x_shape: tuple[int | None, ...], keep_shape: tuple[int | None, ...]) -> None:
        self.lstm.build(x_shape)
        zeros = {"shape": (self.batch, self.units), "initializer": "zeros", "trainable": False}
        self.h = self.add_weight(name="h", **zeros)
        self.c = self.add_weight(name="c", **zeros)

    def call(self, x: keras.KerasTensor, keep: keras.KerasTensor) -> keras.KerasTensor:
        y, h, c = recurrence.lstm(self.lstm, x, self.h * keep, self.c * keep)
        self.h.assign(keras.ops.stop_gradient(h))
        self.c.assign(keras.ops.stop_gradient(c))
        return y


def sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The size of every parameter by path, without building anything."""
    units, wide = shape.units, sum(width for _, _, width in EMBEDDINGS) + shape.context
    found: dict[str, tuple[int, ...]] = {f"in_{name}/embeddings": (size, width) for name, size, width in EMBEDDINGS}
    for layer in range(shape.layers):
        cell = f"lstm_{layer}/lstm/lstm_cell"
        found |= {f"{cell}/kernel": (units if layer else wide, 4 * units), f"{cell}/bias": (4 * units,)}
        found[f"{cell}/recurrent_kernel"] = (units, 4 * units)
    for name, into, out in (
        ("in_context", codec.CONTEXT, shape.context),
        ("dt_out", units, codec.DTS),
        ("what_hidden", units, shape.what),
        ("what_out", shape.what, codec.WHATS),
        ("velocity_hidden", units, shape.velocity),
        ("velocity_out", shape.velocity, codec.VELOCITIES),
    ):
        found |= {f"{name}/kernel": (into, out), f"{name}/bias": (out,)}
    for name, size, width in (
        ("what_dt", codec.DTS, shape.what),
        ("what_phase", codec.NO_PHASE + 1, shape.what),
        ("velocity_dt", codec.DTS, shape.velocity),
        ("velocity_what", codec.WHATS, shape.velocity),
    ):
        found[f"{name}/embeddings"] = (size, width)
    return found


def fits(values: Mapping[str, np.ndarray], shape: Shape) -> bool:
    """Whether these are parameters of such a network, all of them numbers."""
    if {name: value.shape for name, value in values.items()} != sizes(shape):
        return False
    return all(value.dtype.kind == "f" and bool(np.isfinite(value).all()) for value in values.values())


def build(shape: Shape, batch: int, dropout: float = 0.0, precision: str = "float32", seed: int = 1) -> keras.Model:
    """The training graph: the arrays of a `batches.Batch` in, log-probabilities by attribute out.

    The `seed` is of the dropout: without one PyTorch throws dice of its own, which no checkpoint holds.
    """
    tokens = keras.Input((None, len(EMBEDDINGS)), batch, dtype="int32", name="tokens")
    context = keras.Input((None, codec.CONTEXT), batch, name="context")
    known = keras.Input((None, 2), batch, dtype="int32", name="known")
    allowed = keras.Input((None, codec.WHATS), batch, dtype="bool", name="allowed")
    keep = keras.Input((1,), batch, name="keep")
    target_what = keras.Input((None,), batch, dtype="int32", name="target_what")

    def embed(name: str, vocabulary: int, width: int, index: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Embedding(vocabulary, width, name=name)(index)

    parts = [embed(f"in_{name}", size, width, tokens[..., i]) for i, (name, size, width) in enumerate(EMBEDDINGS)]
    parts.append(keras.layers.Dense(shape.context, name="in_context")(context))
    x = keras.layers.Concatenate()(parts)
    for layer in range(shape.layers):
        x = CarriedLSTM(shape.units, batch, precision, name=f"lstm_{layer}")(x, keep)
        x = keras.layers.Dropout(dropout, seed=seed + layer, name=f"dropout_{layer}")(x)

    dt = keras.layers.Dense(codec.DTS, name="dt_out")(x)

    seen = [
        keras.layers.Dense(shape.what, name="what_hidden")(x),
        embed("what_dt", codec.DTS, shape.what, known[..., 0]),
        embed("what_phase", codec.NO_PHASE + 1, shape.what, known[..., 1]),
    ]
    what = keras.layers.Dense(codec.WHATS, name="what_out")(keras.ops.relu(keras.layers.Add()(seen)))
    what = keras.ops.where(allowed, what, -1e9)

    seen = [
        keras.layers.Dense(shape.velocity, name="velocity_hidden")(x),
        embed("velocity_dt", codec.DTS, shape.velocity, known[..., 0]),
        embed("velocity_what", codec.WHATS, shape.velocity, target_what),
    ]
    velocity = keras.layers.Dense(codec.VELOCITIES, name="velocity_out")(keras.ops.relu(keras.layers.Add()(seen)))

    def logp(name: str, logits: keras.KerasTensor) -> keras.KerasTensor:
        return keras.layers.Activation("log_softmax", dtype="float32", name=name)(logits)

    return keras.Model(
        [tokens, context, known, allowed, keep, target_what],
        {"dt": logp("dt", dt), "what": logp("what", what), "velocity": logp("velocity", velocity)},
    )


def nats(target: keras.KerasTensor, logp: keras.KerasTensor) -> keras.KerasTensor:
    """Loss: minus the log-probability of the target. [B,T], [B,T,K] -> [B,T]."""
    target = keras.ops.cast(target, "int32")
    return -keras.ops.squeeze(keras.ops.take_along_axis(logp, target[..., None], axis=-1), -1)
