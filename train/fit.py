"""Training: a recipe in, the best parameters and a learning curve out; goes on where it was stopped.

A run's folder holds `recipe.yaml`, `checkpoint.npz`, `best.npz`, `history.csv`, `curve.png` and TensorBoard's file.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from improv.errors import BadInput
from train.corpora import arrays
from train.corpora.pieces import TIERS, Piece, load, pieces
from train.judge.evaluate import Weights
from train.network import likelihood, model
from train.network.batches import Streams, inputs
from train.network.likelihood import ATTRIBUTES
from train.network.recipe import Recipe, read_recipe, write_recipe

MOVABLE = ("data", "emphasis", "augment", "updates", "decay", "patience")  # what may change under way
CHECKPOINT_S = 60.0  # a kill loses no more than this
SMOOTH = 0.95  # of the speed and the losses that are shown


class Music(NamedTuple):
    """What a run learns from, and what tells it how far it is."""

    train: Sequence[Piece]
    validation: Sequence[Piece]


def music(recipe: Recipe) -> Music:
    """The pieces that a recipe names. Raises `BadInput` where there are none."""
    corpora = load(recipe.data)
    parts = (pieces(corpora, recipe.split, part, TIERS[recipe.tier]) for part in ("train", "validation"))
    found = Music(*parts)
    if not found.train or not found.validation:
        raise BadInput(f"{recipe.data}: no prepared pieces to train and validate on; run prepare first")
    held = sorted({piece.corpus for piece in found.train})
    for corpus in recipe.emphasis:
        if corpus not in held:
            raise BadInput(f"emphasis: there is no {corpus} to train on in {recipe.data}; name {', '.join(held)}")
    return found._replace(validation=some(found.validation, recipe.validate_notes))


def some(source: Sequence[Piece], notes: int) -> list[Piece]:
    """Pieces spread evenly over a list that come to about so many notes."""
    every = max(1.0, sum(piece.notes for piece in source) / notes)
    return [source[int(i * every)] for i in range(int(np.ceil(len(source) / every)))]


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
    """A training run and its folder."""

    def __init__(self, recipe: Recipe, folder: Path, music: Music, start: Weights | None = None) -> None:
        self.recipe, self.folder, self.music = recipe, folder, music
        self._check()
        keras.utils.set_random_seed(recipe.seed)
        self.streams = Streams(music.train, recipe.batch, recipe.steps, recipe.seed, recipe.augment, recipe.emphasis)
        self.model = build(recipe, start)
        self.done = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._losses = np.zeros(1 + len(ATTRIBUTES))  # summed since the last validation
        if (folder / "checkpoint.npz").exists():
            self._restore()
        folder.mkdir(parents=True, exist_ok=True)
        write_recipe(recipe, folder / "recipe.yaml")  # only now: what is refused leaves no trace
        for torn in folder.glob("*.partial.npz"):  # of a run that was killed
            torn.unlink(missing_ok=True)

    def _check(self) -> None:
        """Raises `BadInput` where the folder is another recipe's.

        The arrays may have moved; a run may be made longer while its learning rate is level, and be shown
        other things.
        """
        file = self.folder / "recipe.yaml"
        movable = {key: getattr(self.recipe, key) for key in MOVABLE}
        if file.exists() and replace(read_recipe(file), **movable) != self.recipe:
            raise BadInput(f"{self.folder}: it holds a run of another recipe ({file}); give another folder with --out")

    def _extent(self) -> list[int]:
        """Pieces and tokens to learn from."""
        return [len(self.music.train), sum(len(piece.columns["dt"]) for piece in self.music.train)]

    def _variables(self) -> list[keras.Variable]:
        return [*self.model.variables, *self.model.optimizer.variables]

    def save(self) -> None:
        state = {
            "done": self.done,
            "seconds": self.seconds,
            "history": self.history,
            "losses": self._losses.tolist(),
            "streams": self.streams.state(),
            "music": self._extent(),
        }
        values = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        arrays.write(self.folder / "checkpoint.npz", state=np.array(json.dumps(state)), **values)

    def _restore(self) -> None:
        path = self.folder / "checkpoint.npz"
        try:
            found = arrays.read(path)
            state = json.loads(str(found["state"]))
            for i, variable in enumerate(self._variables()):
                variable.assign(found[f"v{i}"])
        except (arrays.Damaged, KeyError, ValueError):
            raise BadInput(f"{path}: it is damaged; delete it to begin anew, or give another --out") from None
        if state.get("music", self._extent()) != self._extent():
            raise BadInput(f"{self.recipe.data}: not the music that {self.folder} began with; give another --out")
        self.streams.restore(state["streams"])
        self.done, self.seconds, self.history = state["done"], state["seconds"], state["history"]
        self._losses = np.array(state["losses"], float)

    @property
    def stale(self) -> int:
        """Validations since the best one."""
        scores = [row["nats_per_note"] for row in self.history]
        return len(scores) - 1 - int(np.argmin(scores)) if scores else 0

    @property
    def over(self) -> bool:
        patience = self.recipe.patience
        return self.done >= self.recipe.updates or (patience > 0 and self.stale >= patience)

    def fit(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Train to the end of the recipe, or until `stopped`. Raises FloatingPointError where the loss is no number."""
        with _Bar(self.recipe, self.done) as bar, SummaryWriter(str(self.folder), purge_step=self.done) as board:
            if not self.history:
                self._validate(board)
            saved = time.monotonic()
            while not self.over and not stopped():
                took_s, losses = self._update()
                bar.show(self.done, took_s, losses)
                due = self.done % self.recipe.validate_every == 0 or self.done == self.recipe.updates
                if due:
                    self._validate(board)
                if due or time.monotonic() - saved > CHECKPOINT_S:
                    self.save()
                    saved = time.monotonic()
            self.save()

    def _update(self) -> tuple[float, np.ndarray]:
        """One batch; the seconds it took, the loss and the nats per token of each attribute."""
        began = time.monotonic()
        batch = self.streams.next()
        self.model.reset_metrics()
        found = self.model.train_on_batch(inputs(batch), batch.targets, sample_weight=batch.weights, return_dict=True)
        losses = np.array([float(found[key]) for key in ("loss", *(f"{name}_loss" for name in ATTRIBUTES))])
        if not np.isfinite(losses[0]):
            raise FloatingPointError(f"the loss became {losses[0]} at update {self.done}; lower learning_rate")
        took_s = time.monotonic() - began
        self._losses += losses
        self.seconds += took_s
        self.done += 1
        return took_s, losses

    def _validate(self, board: SummaryWriter) -> None:
        recipe, parameters = self.recipe, likelihood.parameters(self.model)
        score = likelihood.total(likelihood.network(parameters, recipe.shape, self.music.validation))
        updates = self.done - (self.history[-1]["update"] if self.history else 0)
        row = {
            "update": self.done,
            "events": self.done * recipe.batch * recipe.steps,
            "hours": self.seconds / 3600,
            "train": float(self._losses[0] / updates) if updates else float("nan"),
            "nats_per_note": score.nats_per_note,
            **{name: score.by_attribute[name] for name in ATTRIBUTES},
        }
        self._losses[:] = 0
        if score.nats_per_note < min((row["nats_per_note"] for row in self.history), default=np.inf):
            arrays.write(self.folder / "best.npz", **parameters)  # so that it can be exported while training goes on
        self.history.append(row)
        for name, value in row.items():
            if np.isnan(value):
                continue
            board.add_scalar(f"validation/{name}" if name in ("nats_per_note", *ATTRIBUTES) else name, value, self.done)
        board.flush()
        write_history(self.history, self.folder)
        print(f"update {self.done}: validation {score.nats_per_note:.3f} nats/note", flush=True)


def build(recipe: Recipe, start: Weights | None = None) -> keras.Model:
    """The compiled training graph, at the parameters of `start`. Raises `BadInput`."""
    network = model.build(recipe.shape, recipe.batch, recipe.dropout, recipe.precision, recipe.seed)
    if start is not None:
        if start.shape != recipe.shape:
            raise BadInput(
                f"weights {start.card.name}: their shape is {asdict(start.shape)}; give the recipe that shape"
            )
        likelihood.load_parameters(network, start.values)
    rate = Trapezoid(recipe.learning_rate, recipe.warmup, recipe.updates - recipe.decay, recipe.updates)
    network.compile(
        keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, global_clipnorm=recipe.clip),
        loss={name: model.nats for name in ATTRIBUTES},
        loss_weights=asdict(recipe.loss),
        jit_compile=keras.backend.backend() == "jax",  # JAX needs XLA; under TensorFlow it halves the speed on a CPU
    )
    network.optimizer.build(network.trainable_variables)
    return network


class _Bar:
    """The progress bar of a run: updates done, events a second, nats per token by attribute, time left."""

    def __init__(self, recipe: Recipe, done: int) -> None:
        self._events = recipe.batch * recipe.steps
        self._smooth: np.ndarray | None = None
        name = TextColumn("{task.description}", markup=False)
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[line]}"), TimeRemainingColumn())
        self._progress = Progress(name, *columns, speed_estimate_period=120)
        self._task = self._progress.add_task(recipe.name, total=recipe.updates, completed=done, line="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, done: int, took_s: float, losses: np.ndarray) -> None:
        now = np.append(losses[1:], took_s)
        self._smooth = now if self._smooth is None else SMOOTH * self._smooth + (1 - SMOOTH) * now
        *nats, took_s = self._smooth.tolist()
        parts = " ".join(f"{name} {value:.3f}" for name, value in zip(ATTRIBUTES, nats, strict=True))
        self._progress.update(self._task, completed=done, line=f"{self._events / took_s:,.0f} events/s  {parts}")


def write_history(history: Sequence[dict[str, float]], folder: Path) -> None:
    """The learning curve as a table and as a picture."""
    with open(folder / "history.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(history[0]))
        writer.writeheader()
        writer.writerows(history)
    draw_curve(history, folder / "curve.png")


def draw_curve(history: Sequence[dict[str, float]], path: Path) -> None:
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
