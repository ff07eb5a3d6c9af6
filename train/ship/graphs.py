"""The one-step graphs: one token in, its log-probabilities out, as LiteRT files.

Written out by hand from the trained kernels, as few operations as possible. Each LSTM cell is one matrix
product over its input and its own last output, so that int8 weights (one scale a column, activations
rounded on the fly) apply to all of it. What goes in and out, and by which names, is said in
`improv.net.stepper`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from improv.net import codec
from improv.net.stepper import GRAPHS
from train.network import model

FORMS = ("float32", "float16", "int8")

Parameters = Mapping[str, np.ndarray]


class Cell(NamedTuple):
    """One LSTM layer: kernel [inputs+units, 4*units], its gates in the order i, f, o, candidate; bias [4*units]."""

    kernel: np.ndarray
    bias: np.ndarray


def cell(values: Parameters, layer: int) -> Cell:
    """Keras keeps the gates in the order i, f, candidate, o; with the candidate last one sigmoid serves three."""
    path = f"lstm_{layer}/lstm/lstm_cell"
    kernel = np.concatenate((values[f"{path}/kernel"], values[f"{path}/recurrent_kernel"])).astype(np.float32)
    return Cell(_candidate_last(kernel), _candidate_last(values[f"{path}/bias"].astype(np.float32)))


def _candidate_last(gates: np.ndarray) -> np.ndarray:
    i, f, candidate, o = np.split(gates, 4, axis=-1)
    return np.concatenate((i, f, o, candidate), axis=-1)


def _linear(values: Parameters, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    kernel, bias = (tf.constant(values[f"{name}/{part}"].astype(np.float32)) for part in ("kernel", "bias"))
    return lambda x: tf.matmul(x, kernel) + bias


def _lookup(values: Parameters, name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    table = tf.constant(values[f"{name}/embeddings"].astype(np.float32))
    return lambda index: tf.gather(table, index)


def _step(kernel: tf.Tensor, bias: tf.Tensor, x: tf.Tensor, h: tf.Tensor, c: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    units = c.shape[-1]
    gates, candidate = tf.split(tf.matmul(tf.concat((x, h), axis=-1), kernel) + bias, (3 * units, units), axis=-1)
    i, f, o = tf.split(tf.sigmoid(gates), 3, axis=-1)
    c = f * c + i * tf.tanh(candidate)
    return o * tf.tanh(c), c


def trunk(values: Parameters, shape: model.Shape) -> tf.types.experimental.ConcreteFunction:
    """Token, context, state -> state, hidden, dt. The state is h and c of each layer, one after the other."""
    tables = [_lookup(values, f"in_{name}") for name, _, _ in model.EMBEDDINGS]
    in_context, dt_out = _linear(values, "in_context"), _linear(values, "dt_out")
    cells = [tuple(map(tf.constant, cell(values, layer))) for layer in range(shape.layers)]

    def step(token: tf.Tensor, context: tf.Tensor, state: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = [table(index) for table, index in zip(tables, tf.split(token, len(tables)), strict=True)]
        x = tf.concat((*parts, in_context(context)), axis=-1)
        before, after = tf.split(state, 2 * shape.layers, axis=-1), []
        for layer, (kernel, bias) in enumerate(cells):
            x, c = _step(kernel, bias, x, before[2 * layer], before[2 * layer + 1])
            after += [x, c]
        return {"state": tf.concat(after, axis=-1), "hidden": tf.identity(x), "dt": tf.nn.log_softmax(dt_out(x))}

    return tf.function(step).get_concrete_function(
        token=tf.TensorSpec((len(tables),), tf.int32, "token"),
        context=tf.TensorSpec((1, codec.CONTEXT), tf.float32, "context"),
        state=tf.TensorSpec((1, shape.state), tf.float32, "state"),
    )


def head(
    values: Parameters, shape: model.Shape, name: str, known: tuple[str, str]
) -> tf.types.experimental.ConcreteFunction:
    """Hidden, known -> log-probabilities of `what` or `velocity`."""
    hidden_layer, out = _linear(values, f"{name}_hidden"), _linear(values, f"{name}_out")
    tables = [_lookup(values, f"{name}_{column}") for column in known]

    def step(hidden: tf.Tensor, known: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = [table(index) for table, index in zip(tables, tf.split(known, 2), strict=True)]
        return {name: tf.nn.log_softmax(out(tf.nn.relu(hidden_layer(hidden) + seen[0] + seen[1])))}

    return tf.function(step).get_concrete_function(
        hidden=tf.TensorSpec((1, shape.units), tf.float32, "hidden"),
        known=tf.TensorSpec((2,), tf.int32, "known"),
    )


def convert(function: tf.types.experimental.ConcreteFunction, form: str) -> bytes:
    """A graph as a LiteRT file with the one signature `serving_default`."""
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(tf.Module(), folder, signatures={"serving_default": function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if form != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if form == "float16":
            converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def write(values: Parameters, shape: model.Shape, form: str, folder: Path) -> None:
    """`trunk.tflite`, `what.tflite` and `velocity.tflite` in one form."""
    functions = (
        trunk(values, shape),
        head(values, shape, "what", ("dt", "phase")),
        head(values, shape, "velocity", ("dt", "what")),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, function in zip(GRAPHS, functions, strict=True):
        (folder / f"{name}.tflite").write_bytes(convert(function, form))
