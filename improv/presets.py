"""Presets: files of settings to share, which shape the music and reach for nothing else."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

from improv import config, door, shipped
from improv.config import BadSetting, ControlSettings, Settings, Source
from improv.music.events import SetMode, Steer
from improv.music.hands import Turn

OWN = Path("presets")
OF_THE_PLACE = ("ports", "record", "log_file", "player")  # what belongs to a computer and its owner
LIVE = {"steering", "mode"}  # what can change while it plays
LONGEST_PURPOSE = 120  # characters


def found() -> dict[str, Path]:
    """The presets by their names: those in ./presets, then those that came with the program."""
    paths: dict[str, Path] = {}
    for place in (OWN, shipped.folder("config") / "presets"):
        for path in sorted(place.glob("*.yaml")):
            if path.stem.isprintable():
                paths.setdefault(path.stem, path)
    return paths


def read(name: str) -> Source:
    """A preset by its name or its path, which must be good by itself. Raises `BadSetting`."""
    known = found()
    if name not in known and not os.path.exists(name):
        raise BadSetting(f"--preset {name}: no such preset and no such file (found: {', '.join(sorted(known))})")
    source = config.read(known.get(name, Path(name)))
    _check(source)
    return source._replace(label=f"preset {name}")


def _check(source: Source) -> None:
    """Presets come from strangers: none names a port, a folder or a file, or opens the network."""
    for reach in _reaches(config.of(source.values, str(source.path)), source):
        raise BadSetting(
            f"{source.path}: a preset may not set {reach}; take it out, or if you trust the file give it with --config"
        )


def _reaches(settings: Settings, source: Source) -> Iterator[str]:
    yield from (f"`{key}`" for key in OF_THE_PLACE if key in source.values)
    if settings.weights != Path(settings.weights).name or settings.weights == os.pardir:
        yield "`weights` to a folder"
    if settings.beat.clock == "link":
        yield "`beat.clock` to link"


def turns(name: str) -> list[Turn]:
    """The knobs that a preset turns while it plays, and the mode, which must be all it sets. Raises `BadSetting`."""
    if name not in (known := found()):
        raise BadSetting(f"`controls.presets.{name}`: no such preset (found: {', '.join(sorted(known))})")
    source = read(name)
    if fixed := _fixed(source):
        raise BadSetting(
            f"preset {name} sets `{fixed[0]}`, which holds from the start on: give it as --preset {name}, and put "
            "no control on it"
        )
    settings = config.of(source.values, str(source.path))
    steers = [Steer(0, knob, getattr(settings.steering, knob)) for knob in source.values.get("steering", ())]
    return [*steers, *([SetMode(0, settings.mode)] if "mode" in source.values else [])]


def _fixed(source: Source) -> list[str]:
    """What it sets that cannot change while it plays."""
    return sorted(str(key) for key in source.values.keys() - LIVE)


def on_controls(controls: ControlSettings, check_style: Callable[[str | None], None]) -> dict[str, list[Turn]]:
    """What those on controls turn. Raises `BadSetting`, and what `check_style` raises."""
    found = {name: turns(name) for name, on in controls.presets.items() if on is not None}
    for turned in found.values():
        for turn in turned:
            if isinstance(turn, Steer) and turn.knob == "style":
                assert not isinstance(turn.value, float)
                check_style(turn.value)
    return found


def lines() -> Iterator[str]:
    """A line for each preset: what it is for, and whether it may not go on a control; or why it is refused."""
    known = found()
    width = max(map(len, known), default=0)
    for name, path in sorted(known.items()):
        try:
            source = read(name)
            purpose = _purpose(source.text) + (" (only at the start)" if _fixed(source) else "")
        except BadSetting as refusal:
            purpose = f"refused: {refusal}"
        yield f"{name:{width}}  {purpose}" + (f" ({path})" if path.parent == OWN else "")


def _purpose(text: str) -> str:
    """The comment in the first line."""
    first = text.partition("\n")[0].strip()
    purpose = first.lstrip("# ") if first.startswith("#") and door.is_shown(first) else ""
    return textwrap.shorten(purpose, LONGEST_PURPOSE, placeholder=" ...")
