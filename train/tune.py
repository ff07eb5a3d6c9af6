"""Fine-tuning: a set of weights and a musician's own files in, a set of their own out.

A tenth of the files says when to stop, another tenth what it was worth; if it was worth nothing, the old
parameters are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import yaml

from improv.errors import BadInput
from improv.net.weights import find
from train import fit
from train.corpora import corpus, marks
from train.corpora.marks import Marked
from train.corpora.pieces import Piece, between, load
from train.corpora.splits import compositions
from train.judge import evaluate
from train.judge.evaluate import Weights
from train.network.augment import Amounts
from train.network.recipe import Recipe
from train.ship import card, export

FEWEST_FILES = 10  # below that each file is split by time
SHARE = 0.1  # of the files (or of each file), to stop on; and again to report
LEAST_NOTES = 500  # of all files
BATCH, STEPS = 16, 64
PASSES = 10  # over the files
MOST_UPDATES = 1500  # some minutes on two cores
VALIDATIONS = 12
NO_MARKS: Mapping[str, Sequence[Marked]] = MappingProxyType({})
SHOWN = 8  # files that were left out


class Parts(NamedTuple):
    """A musician's own pieces; `by_time` says that each was split, not the list of them."""

    train: list[Piece]
    validation: list[Piece]
    test: list[Piece]
    by_time: bool


@dataclass(frozen=True)
class Outcome:
    """What tuning was worth, in nats per note of pieces that it never saw."""

    parts: Parts
    before: float
    after: float
    stopped_on: tuple[float, float]  # the same of the pieces it stops on, before and at best

    @property
    def better(self) -> bool:
        return self.after < self.before and self.stopped_on[1] < self.stopped_on[0]

    def __str__(self) -> str:
        figures = f"{self.before:.3f} nats per note before, {self.after:.3f} after"
        notes = f"{sum(piece.notes for piece in self.parts.test):,} notes of yours that it did not learn from"
        return f"{figures}, on {notes}" + ("" if self.better else ": not better, so the old parameters are kept")


def place(name: str) -> Path:
    """Where the set goes: ./weights/NAME, or a path as it stands. Raises `BadInput` where something else is."""
    out = Path(name) if Path(name).name != name else Path("weights") / name
    text = (out / "card.yaml").read_text(encoding="utf-8", errors="replace") if (out / "card.yaml").is_file() else ""
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and "\ntuned:" not in text:
        raise BadInput(f"--out {name}: {out} is there already, and tuning did not make it; give another name")
    return out


def own_pieces(folder: Path, jobs: int) -> tuple[Parts, str]:
    """A folder or archive of MIDI files, split, and what became of the files. Raises `BadInput`."""
    corpus.check([folder])
    with tempfile.TemporaryDirectory() as scratch:
        report = corpus.prepare(folder, Path(scratch), {}, jobs)
        (Path(scratch) / f"{report.name}.dropped.csv").unlink(missing_ok=True)
        found = [read.piece(i) for read in load(Path(scratch)) for i in range(len(read.info["length"]))]
    if sum(piece.notes for piece in found) < LEAST_NOTES:
        raise BadInput(f"{folder}: fewer than {LEAST_NOTES} notes can be used there; give more MIDI files")
    marked, told = marks.of_folder(folder, [piece.name for piece in found])
    return split(found, marked), "\n".join([str(report).partition(";")[0], *_left_out(report.dropped), *told])


def _left_out(dropped: Sequence[tuple[str, str, str]]) -> list[str]:
    """The first of the files that could not be used, each with the reason."""
    lines = [f"  left out: {name}: {reason}" for name, _, reason in dropped[:SHOWN]]
    return [*lines, f"  and {len(dropped) - SHOWN} more"] if len(dropped) > SHOWN else lines


def split(found: Sequence[Piece], marked: Mapping[str, Sequence[Marked]] = NO_MARKS) -> Parts:
    """80/10/10: takes of one composition stay together; a few files are each split by time.

    Only in what is learnt from, marks count.
    """
    groups: dict[str, list[Piece]] = {}
    for key, piece in zip(compositions([piece.name for piece in found]), found, strict=True):
        groups.setdefault(key, []).append(piece)
    if len(groups) < FEWEST_FILES:
        edges = np.cumsum((0, 1 - 2 * SHARE, SHARE, SHARE))
        cut = [[between(piece, *edges[i : i + 2]) for piece in found] for i in (1, 2)]
        learnt = _heeded(found, marked, float(edges[1]))
        return Parts(learnt, *([piece for piece in part if piece.notes] for part in cut), by_time=True)
    parts: tuple[list[Piece], list[Piece], list[Piece]] = ([], [], [])
    large = {name for name, group in groups.items() if len(group) > SHARE * len(found)}  # to learn from, if need not be
    for name in sorted(groups, key=lambda name: (name in large, hashlib.sha256(name.encode()).digest())):
        short = next((part for part in parts[1:] if len(part) < SHARE * len(found)), parts[0])
        short.extend(groups[name])
    return Parts(_heeded(parts[0], marked), *parts[1:], by_time=False)


def _heeded(found: Sequence[Piece], marked: Mapping[str, Sequence[Marked]], until: float = 1.0) -> list[Piece]:
    return [part for piece in found for part in marks.heeded(piece, marked.get(piece.name, ()), until)]


def recipe(weights: Weights, name: str, parts: Parts) -> Recipe:
    """A gentle one: low rate, falling from the start, and never long."""
    tokens = sum(len(piece.columns["dt"]) for piece in parts.train)
    updates = min(MOST_UPDATES, max(10 * VALIDATIONS, PASSES * tokens // (BATCH * STEPS)))
    warmup = updates // 20
    return Recipe(
        name=name,
        data=Path(),
        tier=weights.tier,
        split=weights.split,
        start=str(weights.card.name),
        shape=weights.shape,
        batch=BATCH,
        steps=STEPS,
        updates=updates,
        warmup=warmup,
        decay=updates - warmup,
        learning_rate=5e-4,
        augment=Amounts(transpose=3),
        validate_every=updates // VALIDATIONS,
        patience=VALIDATIONS // 3,
    )


def tune(name: str, parts: Parts, out: Path, command: str) -> Outcome:
    """Train on `parts` from the weights `name` and write the folder `out`. Raises `BadInput`."""
    weights = evaluate.read_weights(find(name))
    wanted, heard = recipe(weights, out.name, parts), _heard(weights, parts, out.name)
    with tempfile.TemporaryDirectory() as scratch:
        run = fit.Run(wanted, Path(scratch), fit.Music(parts.train, parts.validation), weights)
        with contextlib.suppress(FloatingPointError):  # what was best before stands
            run.fit()
        history = run.history
        _, tuned = export.read_run(Path(scratch))
    before, after = (
        evaluate.summary(evaluate.network(values, weights.shape, parts.test))
        for values in (weights.values, export.shipped(tuned))
    )
    curve = [row["nats_per_note"] for row in history]
    outcome = Outcome(parts, before["nats_per_note"], after["nats_per_note"], (curve[0], min(curve)))
    values, held_out = (tuned, after) if outcome.better else (weights.values, before)
    examined = export.examine(values, weights.shape, parts.validation, export.long_piece(parts.test, 1000))
    facts = card.Facts(
        recipe=wanted,
        **examined._asdict(),
        history=history,
        **heard,
        held_out=held_out,
        baselines={},
        retrain=[command],
        tuned={
            "from": weights.card.name,
            "files": len({piece.name for part in parts[:3] for piece in part}),
            "split": "by time" if parts.by_time else "by file",
            "nats_per_note": {"before": outcome.before, "after": outcome.after},
            "parameters": "tuned" if outcome.better else f"those of {weights.card.name}: tuning made them no better",
        },
    )
    export.write(out, export.shipped(values), weights.shape, facts)
    return outcome


def _heard(weights: Weights, parts: Parts, name: str) -> dict[str, Any]:
    """What the set was trained on: what the old one was, and the musician's own files. Raises `BadInput`."""
    try:
        rows = yaml.safe_load(weights.card.text)["corpora"].items()
        old = {corpus: {key: row[key] for key in ("licence", "files", "notes")} for corpus, row in rows}
    except (KeyError, TypeError, AttributeError):
        where = weights.card.folder
        raise BadInput(f"weights {where}: its card.yaml does not say what they were trained on; export again") from None
    notes = sum(piece.notes for piece in parts.train)
    own = {"licence": "its musician's own", "files": len({piece.name for piece in parts.train}), "notes": notes}
    return {"corpora": {**old, f"{name} (own files)": own}, "styles": weights.card.styles}
