"""Runs the exported network, one token at a time (LiteRT). Nothing else here knows the runtime.

A set of weights is three graphs. `trunk`: token int32 [6] (dt bin, what, velocity, phase, style,
who), context float32 [1,132] (what sounds, clock), state float32 [1,S] -> state, hidden [1,H],
dt [1,128]. `what`: hidden, known int32 [2] (dt bin, phase) -> what [1,256]. `velocity`: hidden,
known int32 [2] (dt bin, what) -> velocity [1,32]. The last of each is log-probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from improv import door
from improv.hush import hushed
from improv.net import codec
from improv.net.graph import MOST_BYTES, check

GRAPHS = ("trunk", "what", "velocity")
SIGNATURES = {
    "trunk": ({"token", "context", "state"}, {"state", "hidden", "dt"}),
    "what": ({"hidden", "known"}, {"what"}),
    "velocity": ({"hidden", "known"}, {"velocity"}),
}
# How many numbers each holds that is the same in every set; `state` and `hidden` need only agree.
SIZES = {
    "token": 6,
    "context": codec.CONTEXT,
    "known": 2,
    "dt": codec.DTS,
    "what": codec.WHATS,
    "velocity": codec.VELOCITIES,
}


class Mismatch(ValueError):
    """The graphs of a folder are not of one network; the message says where they differ."""


class Damaged(ValueError):
    """A graph that the runtime is not to see; the message says which, and why."""


class Reading(NamedTuple):
    """What the network knows after a token. Plain arrays, never written to: keeping one is a snapshot."""

    state: np.ndarray
    hidden: np.ndarray
    dt: np.ndarray  # log-probability of each dt bin, [128]


class _Graph:
    """One LiteRT graph, its tensors found by name once."""

    def __init__(self, folder: Path, name: str) -> None:
        path = folder / f"{name}.tflite"
        data = door.read(path, MOST_BYTES)
        try:
            check(data)
        except ValueError as error:
            raise Damaged(f"{path.name} is damaged, or no graph of improv's: {error}") from None
        self._interpreter = Interpreter(model_content=data, num_threads=1)
        self._interpreter.allocate_tensors()
        signature = self._interpreter.get_signature_runner()
        inputs, outputs = signature.get_input_details(), signature.get_output_details()
        if (set(inputs), set(outputs)) != SIGNATURES[name]:
            raise ValueError(f"{path} is another graph")
        self._inputs = [(name, detail["index"]) for name, detail in inputs.items()]
        self._outputs = [(name, detail["index"]) for name, detail in outputs.items()]
        self.takes, self.gives = (
            {name: tuple(map(int, detail["shape"])) for name, detail in details.items()}
            for details in (inputs, outputs)
        )

    def __call__(self, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        interpreter = self._interpreter
        for name, index in self._inputs:
            interpreter.set_tensor(index, inputs[name])
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in self._outputs}


def _check_fit(graphs: Mapping[str, _Graph]) -> None:
    sizes = {**SIZES, **{name: math.prod(graphs["trunk"].gives[name]) for name in ("state", "hidden")}}
    for graph, one in graphs.items():
        for name, shape in (*one.takes.items(), *one.gives.items()):
            if math.prod(shape) != sizes[name]:
                raise Mismatch(f"{graph}.tflite has a `{name}` of {math.prod(shape)} numbers, not {sizes[name]}")


class Stepper:
    """The network of one weights folder. Raises ValueError or OSError where its graphs cannot be loaded,
    `Mismatch` where they do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        with hushed():
            self._trunk, self._what, self._velocity = (_Graph(folder, name) for name in GRAPHS)
        _check_fit({"trunk": self._trunk, "what": self._what, "velocity": self._velocity})
        self._start = np.zeros(self._trunk.takes["state"], np.float32)
        self._try()

    def _try(self) -> None:
        """A step with the largest number of each kind: a table that is too short shows here, not in the music."""
        style, who = len(codec.STYLES) - 1, len(codec.WHO) - 1
        token = np.array((codec.DTS - 1, codec.START, codec.NO_VELOCITY, codec.NO_PHASE, style, who), np.int32)
        reading = self.read(self._start, token, np.zeros((1, codec.CONTEXT), np.float32))
        self.what(reading.hidden, codec.DTS - 1, codec.NO_PHASE)
        self.velocity(reading.hidden, codec.DTS - 1, codec.WHATS - 1)

    def start(self) -> np.ndarray:
        """The state before anything was heard."""
        return self._start

    def read(self, state: np.ndarray, token: np.ndarray, context: np.ndarray) -> Reading:
        """Move on by one token."""
        read = self._trunk(token=token, context=context, state=state)
        return Reading(read["state"], read["hidden"], read["dt"][0])

    def what(self, hidden: np.ndarray, dt: int, phase: int) -> np.ndarray:
        """Log-probabilities [256], nothing masked."""
        logp: np.ndarray = self._what(hidden=hidden, known=np.array((dt, phase), np.int32))["what"][0]
        return logp

    def velocity(self, hidden: np.ndarray, dt: int, what: int) -> np.ndarray:
        """Log-probabilities [32]."""
        logp: np.ndarray = self._velocity(hidden=hidden, known=np.array((dt, what), np.int32))["velocity"][0]
        return logp
