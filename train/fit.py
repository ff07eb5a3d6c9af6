"""Training: a YAML file in, the best parameters and a learning curve out; resumes where it stopped."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from improv.errors import BadInput
from improv.net.weights import find
from train import batches, likelihood, model
from train.evaluate import read_weights
from train.likelihood import ATTRIBUTES
from train.recipe import Recipe, read_recipe, write_recipe


@keras.saving.register_keras_serializable("improv")
class Trapezoid(keras.optimizers.schedules.LearningRateSchedule):
    """Up, level, and down to nothing at the end (Hägele et al. 2024): the level part can be made longer under way."""

    def __init__(self, peak: float, warmup: int, level_until: int, end: int) -> None:
        self.peak, self.warmup, self.level_until, self.end = peak, warmup, level_until, end

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        step = keras.ops.cast(step, "float32")
        up = (step + 1) / max(self.warmup, 1)
        down = (self.end - step) / max(self.end - self.level_until, 1)
        return self.peak * keras.ops.clip(keras.ops.minimum(up, down), 0.0, 1.0)

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "warmup": self.warmup, "level_until": self.level_until, "end": self.end}


class Run:
    """A training run and its folder: `recipe.yaml`, `checkpoint.npz`, `best.npz`, `history.csv`, `curve.png`."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder
        keras.utils.set_random_seed(recipe.seed)
        corpora = batches.load(recipe.data)
        tiers = batches.TIERS[recipe.tier]
        self.train = batches.pieces(corpora, recipe.split, "train", tiers)
        self.validation = some(batches.pieces(corpora, recipe.split, "validation", tiers), recipe.validate_notes)
        if not self.train or not self.validation:
            raise BadInput(f"{recipe.data}: no prepared pieces to train and validate on; run prepare first")
        self._claim()
        self.streams = batches.Streams(self.train, recipe.batch, recipe.steps, recipe.seed, recipe.transpose)
        self.model = model.build(recipe.shape, recipe.batch, recipe.dropout, recipe.precision)
        if recipe.start:
            likelihood.load_parameters(self.model, read_weights(find(recipe.start)).values)
        self.model.compile(
            keras.optimizers.AdamW(
                Trapezoid(recipe.learning_rate, recipe.warmup, recipe.updates - recipe.decay, recipe.updates),
                weight_decay=recipe.weight_decay,
                global_clipnorm=recipe.clip,
            ),
            loss={name: model.nats for name in ATTRIBUTES},
            jit_compile=False,  # XLA halves the speed of an LSTM on a CPU (docs/training.md)
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.done = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        if (folder / "checkpoint.npz").exists():
            self._restore()

    def _claim(self) -> None:
        """Make the folder this recipe's. Raises `BadInput` where it is another's; the arrays may have moved."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "recipe.yaml"
        movable = {"data": self.recipe.data, "updates": self.recipe.updates, "decay": self.recipe.decay}
        if file.exists() and replace(read_recipe(file), **movable) != self.recipe:
            raise BadInput(f"{self.folder}: it holds a run of another recipe ({file}); give another folder with --out")
        write_recipe(self.recipe, file)

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def save(self) -> None:
        state = {
            "done": self.done,
            "seconds": self.seconds,
            "history": self.history,
            "streams": self.streams.state(),
        }
        partial = self.folder / "checkpoint.partial.npz"
        arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        np.savez(partial, state=np.array(json.dumps(state)), **arrays)
        os.replace(partial, self.folder / "checkpoint.npz")

    def _restore(self) -> None:
        with np.load(self.folder / "checkpoint.npz", allow_pickle=False) as file:
            for i, variable in enumerate(self._variables()):
                variable.assign(file[f"v{i}"])
            state = json.loads(str(file["state"]))
        self.done, self.seconds, self.history = state["done"], state["seconds"], state["history"]
        self.streams.restore(state["streams"])

    def fit(self) -> None:
        """Train to the end of the recipe. Raises FloatingPointError where the loss is no number."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[line]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as progress:
            task = progress.add_task(self.recipe.name, total=self.recipe.updates, completed=self.done, line="")
            if not self.done:
                self._validate({"loss": float("nan")})
            while self.done < self.recipe.updates:
                losses = self._stretch(lambda line: progress.update(task, completed=self.done, line=line))
                self._validate(losses)
                self.save()

    def _stretch(self, show: object) -> dict[str, float]:
        """Train until the next validation; give the mean losses."""
        recipe = self.recipe
        stop = min(recipe.updates, (self.done // recipe.validate_every + 1) * recipe.validate_every)
        self.model.reset_metrics()
        losses: dict[str, float] = {}
        while self.done < stop:
            began = time.monotonic()
            batch = self.streams.next()
            losses = self.model.train_on_batch(
                batches.inputs(batch), batch.targets, sample_weight=batch.weights, return_dict=True
            )
            losses = {name: float(value) for name, value in losses.items()}
            if not np.isfinite(losses["loss"]):
                raise FloatingPointError(f"the loss became {losses['loss']} at update {self.done}; lower learning_rate")
            self.done += 1
            took = time.monotonic() - began
            self.seconds += took
            speed = recipe.batch * recipe.steps / took
            parts = " ".join(f"{name} {losses[f'{name}_loss']:.3f}" for name in ATTRIBUTES)
            show(f"{speed:,.0f} events/s  {parts}")  # type: ignore[operator]
        return losses

    def _validate(self, losses: dict[str, float]) -> None:
        parameters = likelihood.parameters(self.model)
        score = likelihood.total(likelihood.network(parameters, self.recipe.shape, self.validation))
        best = min((row["nats_per_note"] for row in self.history), default=np.inf)
        self.history.append(
            {
                "update": self.done,
                "events": self.done * self.recipe.batch * self.recipe.steps,
                "hours": self.seconds / 3600,
                "train": losses["loss"],
                "nats_per_note": score.nats_per_note,
                **{name: score.by_attribute[name] for name in ATTRIBUTES},
            }
        )
        if score.nats_per_note < best:
            partial = self.folder / "best.partial.npz"
            np.savez(partial, **parameters)
            os.replace(partial, self.folder / "best.npz")  # so that it can be exported while training goes on
        self._write_history()
        print(f"update {self.done}: validation {score.nats_per_note:.3f} nats/note", flush=True)

    def _write_history(self) -> None:
        with open(self.folder / "history.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(self.history[0]))
            writer.writeheader()
            writer.writerows(self.history)
        draw_curve(self.history, self.folder / "curve.png")


def some(source: Sequence[batches.Piece], notes: int) -> list[batches.Piece]:
    """Pieces spread evenly over a list that come to about so many notes."""
    every = max(1.0, sum(piece.notes for piece in source) / notes)
    return [source[int(i * every)] for i in range(int(np.ceil(len(source) / every)))]


def draw_curve(history: list[dict[str, float]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    events = [row["events"] / 1e6 for row in history]
    axes.plot(events, [row["nats_per_note"] for row in history], "o-", label="total")
    for name in ATTRIBUTES:
        axes.plot(events, [row[name] for row in history], ".-", label=name)
    axes.set(xlabel="training events, millions", ylabel="validation, nats per note", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
