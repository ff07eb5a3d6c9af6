"""What a set of weights, a run of `fit` or a folder of prepared arrays holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.table import Table

from improv.errors import BadInput
from improv.net import codec
from improv.net.weights import find
from train.corpora.pieces import load
from train.judge import evaluate
from train.network.recipe import Recipe, read_recipe
from train.ship.export import read_history

Lines = list[str | Table]


def info(name: str) -> Lines:
    """Raises `BadInput` where it is none of the three."""
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        return run(folder)
    if folder.is_dir() and any(folder.glob("*.npz")) and not (folder / "card.yaml").is_file():
        return data(folder)
    return weights(find(name))


def weights(folder: Path) -> Lines:
    found = evaluate.read_weights(folder)
    try:
        return _of_card(folder, found, yaml.safe_load(found.card.text))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"weights {folder}: its card.yaml is not as export writes it ({error}); export again") from None


def _of_card(folder: Path, found: evaluate.Weights, card: dict[str, Any]) -> Lines:
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    count = sum(value.size for value in found.values.values())
    shape = found.shape
    held = card["held_out"]
    lines: Lines = [
        f"{folder.name}: {shape.layers} x {shape.units} LSTM, {count:,} parameters, {size:.1f} MB, {card['form']}",
        f"licence {found.card.licence}, tier {found.tier}",
        f"{held['nats_per_note']:.3f} nats per note of {held['notes']:,} test notes ({held['split']})",
    ]
    if "tuned" in card:
        worth = card["tuned"]["nats_per_note"]
        lines.append(f"tuned from {card['tuned']['from']}: {worth['before']:.3f} before, {worth['after']:.3f} after")
    lines.append(_table(("corpus", "files", "notes", "licence"), _rows(card["corpora"], ("files", "notes", "licence"))))
    lines.append(_table(("style", "notes"), [(style, f"{notes:,}") for style, notes in found.card.styles.items()]))
    lines.append(_table(("form", "ms an event", "loss", "MB"), _rows(card["forms"], ("ms", "loss", "megabytes"))))
    return [*lines, _curve([(row["events_millions"], row["nats_per_note"]) for row in card["curve"]])]


def run(folder: Path) -> Lines:
    recipe = read_recipe(folder / "recipe.yaml")
    if not (folder / "history.csv").is_file():
        return [f"{folder}: {_said(recipe)}; not yet at its first validation"]
    history = read_history(folder)
    last, best = history[-1], min(history, key=lambda row: row["nats_per_note"])
    return [
        f"{folder}: {_said(recipe)}",
        f"validated at update {last['update']:.0f} of {recipe.updates}, {last['hours']:.2f} hours of training",
        f"best {best['nats_per_note']:.3f} nats per note at update {best['update']:.0f}",
        _curve([(row["events"] / 1e6, row["nats_per_note"]) for row in history]),
    ]


def _said(recipe: Recipe) -> str:
    begin = f" from {recipe.start}" if recipe.start else ""
    return f"{recipe.name}, tier {recipe.tier}, {recipe.shape.layers} x {recipe.shape.units}{begin}"


def data(folder: Path) -> Lines:
    """A row a corpus."""
    rows = []
    for corpus in load(folder):
        info = corpus.info
        hours = f"{info['seconds'].sum() / 3600:.1f}"
        parts = "/".join(str(int((info["split"] == part).sum())) for part in ("train", "validation", "test"))
        metric = np.isfinite(corpus.columns["tempo"][corpus.start[:-1]]).mean()
        styles = ", ".join(codec.STYLES[i] for i in np.unique(info["style"]))
        tiers = ", ".join(np.unique(info["tier"]).tolist())
        pieces, notes = len(info["length"]), int(info["notes"].sum())
        rows.append((corpus.name, f"{pieces:,}", f"{notes:,}", hours, parts, f"{metric:.0%}", styles, tiers))
    names = ("corpus", "pieces", "notes", "hours", "train/val./test", "in beats", "styles", "tier")
    return [_table(names, rows)]


def _rows(values: Mapping[str, Mapping[str, Any]], keys: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(name, *(_shown(row[key]) for key in keys)) for name, row in values.items()]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _curve(points: list[tuple[float, float]]) -> Table:
    rows = [(f"{events:.2f}", f"{nats:.3f}") for events, nats in points]
    return _table(("events, millions", "nats per note"), rows)


def _table(names: tuple[str, ...], rows: list[tuple[str, ...]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, name in enumerate(names):
        number = bool(rows) and rows[0][i].replace(",", "").replace(".", "").lstrip("-").isdigit()
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table
