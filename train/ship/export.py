"""A training run to a folder of weights that `improv` plays: graphs, float16 parameters, card, licences.

Every form of the graphs is measured on whole validation pieces, through the same `Stepper` that plays;
the fastest that loses at most `MAX_LOSS` against the training graph is shipped.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.progress import track

from improv.errors import BadInput
from improv.net import codec
from improv.net.stepper import GRAPHS, Stepper
from improv.net.weights import digest
from train.corpora import arrays
from train.corpora.pieces import TIERS, Piece, load, pieces
from train.judge import evaluate
from train.judge.markov import CLASSES
from train.network import batches, likelihood, model
from train.network.recipe import Recipe, read_recipe
from train.ship import card, graphs

MAX_LOSS = 0.05  # nats per note that a faster form may cost
SAMPLE_TOKENS = 4000  # of each corpus, for the loss of a form
PARITY_TOKENS = 5000
CURVE = ("update", "events", "hours", "nats_per_note")  # of history.csv, what is told on


class Measured(NamedTuple):
    """A form of the graphs on this machine."""

    form: str
    ms: float  # median of one event: the trunk and both heads
    loss: float  # nats per note above the training graph's
    megabytes: float


class Examined(NamedTuple):
    """What is shipped of a set of parameters, and why."""

    form: str
    forms: dict[str, dict[str, float]]
    parity: float


def export(run: Path, out: Path, data: Path | None = None, baselines: bool = True) -> None:
    """Make the folder `out` from a folder that `fit` made. Raises `BadInput`."""
    recipe, exact = read_run(run)
    corpora = load(data or recipe.data)
    tiers = TIERS[recipe.tier]
    train, validation, test = (pieces(corpora, recipe.split, part, tiers) for part in ("train", "validation", "test"))
    if not (train and validation and test):
        raise BadInput(f"{data or recipe.data}: not all three parts are prepared there; name their folder with --data")
    values = shipped(exact)
    examined = examine(exact, recipe.shape, validation, long_piece(validation + test, PARITY_TOKENS))
    facts = card.Facts(
        recipe=recipe,
        **examined._asdict(),
        history=read_history(run),
        corpora=card.corpora(train, corpora, tiers),
        styles=card.styles(train),
        held_out=evaluate.summary(evaluate.network(values, recipe.shape, test)),
        baselines=evaluate.compare(evaluate.Held(test, train, validation)) if baselines else {},
        retrain=[
            "improv-train prepare CORPUS... --out data",
            f"improv-train fit config/train-{recipe.name}.yaml --out runs/{recipe.name}",
            f"improv-train export runs/{recipe.name} --out weights/{recipe.name}",
        ],
    )
    write(out, values, recipe.shape, facts)


def shipped(values: graphs.Parameters) -> dict[str, np.ndarray]:
    """The parameters as `params.npz` keeps them: everything else that is shipped is made from these."""
    return {name: value.astype(np.float16) for name, value in values.items()}


def examine(values: graphs.Parameters, shape: model.Shape, validation: Sequence[Piece], long: Piece) -> Examined:
    """Measure every form on whole pieces and choose one."""
    source = sample(validation, SAMPLE_TOKENS)
    exact = likelihood.total(likelihood.network(values, shape, source)).nats_per_note
    measured = measure(shipped(values), shape, source, exact)
    forms = {m.form: {"ms": m.ms, "loss": m.loss, "megabytes": m.megabytes} for m in measured}
    return Examined(choose(measured).form, forms, largest_difference(shipped(values), shape, long))


def read_run(run: Path) -> tuple[Recipe, dict[str, np.ndarray]]:
    """The recipe and the best parameters of a run."""
    for name in ("recipe.yaml", "best.npz", "history.csv"):
        if not (run / name).is_file():
            raise BadInput(f"{run}: there is no {name} in it; give a folder where fit has come to its first validation")
    recipe = read_recipe(run / "recipe.yaml")
    try:
        values = arrays.read(run / "best.npz")
    except (OSError, arrays.Damaged):
        values = {}
    if not model.fits(values, recipe.shape):
        raise BadInput(f"{run}: its best.npz is damaged; delete the folder and fit again")
    return recipe, values


def read_history(run: Path) -> list[dict[str, float]]:
    """The learning curve that fit wrote."""
    try:
        with open(run / "history.csv", newline="") as file:
            found = [{name: float(row[name]) for name in CURVE} for row in csv.DictReader(file)]
    except (OSError, KeyError, TypeError, ValueError, csv.Error):
        found = []
    if not found:
        raise BadInput(f"{run}: its history.csv is damaged; delete the folder and fit again")
    return found


def write(out: Path, values: graphs.Parameters, shape: model.Shape, facts: card.Facts) -> None:
    """The whole folder, or none of it: a half-written set would be found and loaded."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        partial = Path(scratch)
        graphs.write(values, shape, facts.form, partial)
        np.savez(partial / "params.npz", **values)
        sums = {name: digest(partial, name) for name in GRAPHS}
        for name, text in card.files(facts, sums).items():
            (partial / name).write_text(text, encoding="utf-8")
        out.mkdir(exist_ok=True)
        for file in partial.iterdir():
            os.replace(file, out / file.name)


def choose(measured: Sequence[Measured]) -> Measured:
    """The fastest form that loses little; float32 loses nothing, so there is one."""
    return min((m for m in measured if m.loss <= MAX_LOSS), key=lambda m: m.ms)


def measure(values: graphs.Parameters, shape: model.Shape, source: Sequence[Piece], exact: float) -> list[Measured]:
    """Every form on whole pieces, beside the nats per note of the training graph."""
    found = []
    for form in track(graphs.FORMS, "forms of the graphs"):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            graphs.write(values, shape, form, folder)
            stepper = Stepper(folder)
            loss = likelihood.total([nats(stepper, piece) for piece in source]).nats_per_note - exact
            size = sum((folder / f"{name}.tflite").stat().st_size for name in GRAPHS)
            found.append(Measured(form, latency(stepper), loss, size / 1e6))
    return found


def sample(source: Sequence[Piece], tokens: int) -> list[Piece]:
    """Whole pieces of every corpus, from the middling lengths up, until each has about `tokens` tokens."""
    chosen: list[Piece] = []
    for corpus in sorted({piece.corpus for piece in source}):
        own = sorted((p for p in source if p.corpus == corpus), key=lambda p: len(p.columns["dt"]))
        left = tokens
        for piece in own[len(own) // 2 :]:
            if left > 0:
                chosen.append(piece)
                left -= len(piece.columns["dt"])
    return chosen


def long_piece(source: Sequence[Piece], tokens: int) -> Piece:
    """The shortest piece of at least so many tokens, or the longest there is."""
    by_length = sorted(source, key=lambda piece: len(piece.columns["dt"]))
    return next((piece for piece in by_length if len(piece.columns["dt"]) >= tokens), by_length[-1])


def latency(stepper: Stepper, events: int = 2000) -> float:
    """Median milliseconds of one event."""
    token = np.array((10, 60, 16, codec.NO_PHASE, 0, 0), np.int32)
    context = np.zeros((1, codec.CONTEXT), np.float32)
    state, took = stepper.start(), []
    for _ in range(events):
        began = time.perf_counter()
        reading = stepper.read(state, token, context)
        stepper.what(reading.hidden, 10, codec.NO_PHASE)
        stepper.velocity(reading.hidden, 10, 60)
        took.append(time.perf_counter() - began)
        state = reading.state
    return float(np.median(took)) * 1e3


def stepped(stepper: Stepper, piece: Piece) -> dict[str, np.ndarray]:
    """The exported graphs over a whole piece, masked as in play: log-probabilities [T,K] by attribute."""
    length = len(piece.columns["dt"])
    whole = batches.window(piece, 0, length)
    logp = {name: np.empty((length, classes)) for name, classes in CLASSES.items()}
    state = stepper.start()
    for t in range(length):
        reading = stepper.read(state, whole.tokens[0, t], whole.context[:, t])
        dt, phase = whole.known[0, t].tolist()
        logp["dt"][t] = reading.dt
        logp["what"][t] = masked(stepper.what(reading.hidden, dt, phase), whole.allowed[0, t])
        logp["velocity"][t] = stepper.velocity(reading.hidden, dt, int(whole.targets["what"][0, t]))
        state = reading.state
    return logp


def masked(logp: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Renormalised over what is allowed; minus infinity elsewhere."""
    logp = np.where(allowed, logp.astype(np.float64), -np.inf)
    return logp - np.logaddexp.reduce(logp)


def nats(stepper: Stepper, piece: Piece) -> likelihood.PieceNats:
    """As `likelihood.network`, through the exported graphs."""
    whole = batches.window(piece, 0, len(piece.columns["dt"]))
    sums = {}
    for name, logp in stepped(stepper, piece).items():
        target, counted = whole.targets[name][0], whole.weights[name][0] > 0
        width = likelihood.LOG_WIDTH[target] if name == "dt" else 0.0
        sums[name] = float((width - logp[np.arange(len(target)), target])[counted].sum())
    return likelihood.PieceNats(piece, sums)


def trained(values: graphs.Parameters, shape: model.Shape, piece: Piece) -> dict[str, np.ndarray]:
    """The training graph over a whole piece: log-probabilities [T,K] by attribute."""
    graph = model.build(shape, 1)
    likelihood.load_parameters(graph, values)
    windows = [graph.predict_on_batch(batches.inputs(window)) for window, _ in batches.in_order([piece], 1, 256)]
    length = len(piece.columns["dt"])
    return {name: np.concatenate([logp[name][0] for logp in windows])[:length] for name in CLASSES}


def largest_difference(values: graphs.Parameters, shape: model.Shape, piece: Piece) -> float:
    """Parity: the training graph against the float32 graphs, the worst log-probability that is not masked."""
    with tempfile.TemporaryDirectory() as scratch:
        graphs.write(values, shape, "float32", Path(scratch))
        there = stepped(Stepper(Path(scratch)), piece)
    here = trained(values, shape, piece)
    possible = np.isfinite(there["what"])
    pairs = [(here[name], there[name]) for name in ("dt", "velocity")]
    pairs.append((here["what"][possible], there["what"][possible]))
    return max(float(np.abs(a - b).max()) for a, b in pairs)
