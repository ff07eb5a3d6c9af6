"""Draws a piano roll: the player and the improviser in two colours (matplotlib, for legible axes)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from improv.errors import BadInput
from improv.music.damper import Damper
from improv.music.events import NoteOff, NoteOn, Pedal
from improv.music.timeline import NS

COLOURS = ("#1f6fb4", "#d9541e")
SECONDS_WIDE = 60  # beyond this the picture stops growing

Part = Sequence[NoteOn | NoteOff | Pedal]


def check_name(path: Path) -> None:
    """Raises `BadInput` for a name that says it is no PNG."""
    if path.suffix.lower() != ".png":
        raise BadInput(f"{path}: a plot is a PNG picture; give it a name that ends in .png")


def bars(events: Part) -> list[tuple[float, float, int]]:
    """Start and length in seconds, and pitch, of each sounding note."""
    damper = Damper()
    begun: dict[int, int] = {}
    found = []
    for event in events:
        for sounding in damper.hear(event):
            if isinstance(sounding, NoteOn):
                begun[sounding.pitch] = sounding.time_ns
            else:
                start = begun.pop(sounding.pitch)
                found.append((start / NS, (sounding.time_ns - start) / NS, sounding.pitch))
    return found


def piano_roll(player: Part, improviser: Part, path: Path) -> None:
    import matplotlib  # not at import: it is slow, and most commands draw nothing
    from matplotlib.figure import Figure

    matplotlib.rcdefaults()  # whatever a matplotlibrc in this folder says

    parts = [bars(part) for part in (player, improviser)]
    notes = [note for part in parts for note in part]
    end = max((start + length for start, length, _ in notes), default=1.0)
    low = min((pitch for *_, pitch in notes), default=60) // 12 * 12
    high = -(-(max((pitch for *_, pitch in notes), default=60) + 1) // 12) * 12
    figure = Figure(figsize=(6 + 10 * min(end, SECONDS_WIDE) / SECONDS_WIDE, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, colour, part in zip(("player", "improviser"), COLOURS, parts, strict=True):
        if part:
            axes.broken_barh([], (0, 0), facecolors=colour, label=name)
        for start, length, pitch in part:
            axes.broken_barh([(start, max(length, 0.02))], (pitch - 0.4, 0.8), facecolors=colour)
    octaves = range(low, high + 1, 12)
    axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves])
    axes.set(xlim=(0, end * 1.02), ylim=(low - 1, high + 1), xlabel="seconds", ylabel="pitch")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(0, 1.12), ncols=2, frameon=False)
    figure.savefig(path, dpi=120, format="png")
