"""Pictures of an evaluation (matplotlib): nats, calibration, what it plays, and a few piano rolls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from improv.plot import COLOURS
from train.judge import baselines
from train.judge.excerpts import SECONDS
from train.judge.notes import Notes
from train.judge.phrases import RULES
from train.judge.plays import Performance
from train.judge.tables import NAMES
from train.network.likelihood import ATTRIBUTES

ROLLS = 3
ACROSS = 3  # curves of phrases
BARS = {
    "pitch_classes": "pitch classes",
    "range": "range",
    "velocity": "velocity",
    "inter_onset": "inter-onset",
    "in_scale": "in the prime's key",
    "copied_8grams": "copied 8-grams",
}


def draw(result: Mapping[str, Any], performances: Sequence[Performance], folder: Path) -> list[Path]:
    """Write all that a result has; give the files."""
    figures = {"nats": nats(result)}
    if result.get("calibration"):
        figures["calibration"] = calibration(result["calibration"])
    if performances:
        figures["plays"] = plays(result["plays"])
        figures |= {f"roll-{i + 1}": picture for i, picture in enumerate(rolls(performances))}
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=120, format="png")
    return paths


def nats(result: Mapping[str, Any]) -> Figure:
    """Nats per note by attribute, of each corpus and of the baselines."""
    rows = {"all": result, **result["by_corpus"]}
    rows |= {name: result["baselines"][name] for name in baselines.NAMES if name in result.get("baselines", {})}
    figure = Figure(figsize=(8, 1.2 + 0.35 * len(rows)), layout="constrained")
    axes = figure.subplots()
    left = np.zeros(len(rows))
    for attribute in ATTRIBUTES:
        widths = np.array([row["by_attribute"][attribute] for row in rows.values()])
        axes.barh(list(rows), widths, left=left, label=attribute)
        left += widths
    axes.invert_yaxis()
    axes.set(xlabel="nats per note")
    axes.legend(frameon=False)
    return figure


def calibration(found: Mapping[str, Any]) -> Figure:
    """How often the likeliest value was right, by how likely it was held."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot((0, 1), (0, 1), color="0.7", linewidth=1)
    for name, row in found.items():
        label = f"{name} (error {row['expected_calibration_error']:.3f})"
        points = [(each["sure"], each["right"], each["share"]) for each in row["bins"]]
        sure, right, share = zip(*points, strict=True)
        (line,) = axes.plot(sure, right, label=label)
        axes.scatter(sure, right, s=10 + 150 * np.array(share), color=line.get_color())
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="probability of the likeliest value", ylabel="how often it was right")
    axes.legend(frameon=False)
    return figure


def plays(found: Mapping[str, Any]) -> Figure:
    """Overlaps with what really followed, by who plays."""
    players = found["players"]
    names = [name for name in BARS if any(row.get(name) is not None for row in players.values())]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.subplots()
    width = 0.85 / len(players)
    for i, (player, row) in enumerate(players.items()):
        heights = [row.get(name) or 0.0 for name in names]
        errors = [row["standard_errors"].get(name) or 0.0 for name in names]
        places = np.arange(len(names)) + (i - (len(players) - 1) / 2) * width
        axes.bar(places, heights, width, yerr=errors, label=NAMES[player], error_kw={"linewidth": 0.8})
    axes.set_xticks(range(len(names)), [BARS[name] for name in names])
    axes.set(ylim=(0, 1.05), ylabel="overlap with what followed, or share")
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.18))
    return figure


def phrases(found: Mapping[str, Any]) -> Figure:
    """False ends against delay, by corpus and rule; the dot is the rule as it is set."""
    rows = {"all": found, **found["by_corpus"]}
    high = -(-len(rows) // ACROSS)
    figure = Figure(figsize=(10, 2.8 * high), layout="constrained")
    grid = figure.subplots(high, ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, (name, row) in zip(grid, rows.items(), strict=False):
        for rule in RULES:
            axes.plot([p["median_s"] for p in row[rule]], [p["false"] for p in row[rule]], label=rule)
        axes.scatter(row["as set"][0]["median_s"], row["as set"][0]["false"], s=25, color="C0")
        axes.axhline(0.05, color="0.7", linewidth=1)
        axes.set(title=f"{name} ({row['excerpts']})", xlim=(0, 2), ylim=(0, 0.6))
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    grid[0].legend(frameon=False)
    figure.supxlabel("median seconds from the last release to the decision")
    figure.supylabel("phrases with a false end")
    return figure


def rolls(performances: Sequence[Performance]) -> list[Figure]:
    """The network's answer under what really followed, of a few places from different corpora."""
    by_player = {name: [p for p in performances if p.player == name] for name in ("truth", "network")}
    pairs = list(zip(by_player["truth"], by_player["network"], strict=True))
    chosen = np.unique(np.linspace(0, len(pairs) - 1, min(ROLLS, len(pairs))).astype(int))
    return [_roll(*pairs[i]) for i in chosen]


def _roll(truth: Performance, network: Performance) -> Figure:
    excerpt = truth.excerpt
    figure = Figure(figsize=(9, 6), layout="constrained")
    for axes, performance in zip(figure.subplots(2, sharex=True, sharey=True), (truth, network), strict=True):
        _bars(axes, excerpt.prime, -excerpt.ask_s, COLOURS[0])
        _bars(axes, performance.notes, 0.0, COLOURS[1])
        axes.axvline(0, color="0.7", linewidth=1)
        axes.set(title=NAMES[performance.player], ylabel="pitch", xlim=(-excerpt.ask_s, SECONDS))
    axes.set(xlabel="seconds")
    figure.suptitle(excerpt.piece.name, fontsize="small")
    return figure


def _bars(axes: Axes, notes: Notes, shift_s: float, colour: str) -> None:
    axes.barh(notes.pitch, np.maximum(notes.length, 0.02), 0.8, notes.start + shift_s, color=colour)
