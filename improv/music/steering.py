"""What a musician can steer while it plays: each knob, what it can stand at, and where on a controller that lies."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from improv.music import scale

Value = float | str | None
STYLES = ("classical", "song", "chorale", "pop", "ragtime", "jazz")
INFERRED = "inferred"  # the key is the one that the player plays in


@dataclass(frozen=True)
class Steering:
    """How it is to play. Each field is a knob, which may be turned at any time (`turned`)."""

    style: str | None = None  # None: the network is not told one
    temperature: float = 0.95
    top_p: float = 0.95
    memory: float = 0.5  # how strongly it draws on what the player has played
    variation: float = 1.0  # 0: it quotes the phrase it answers; 1: it is free
    key: str | None = None  # a scale by its name, to which all its notes belong, or INFERRED
    density: float = 1.0  # times as many notes in a time
    register: int = 0  # semitones above the player's
    voices: int | None = None  # that sound together, at most; None: some more than the player's
    velocity_follow: float = 0.0  # how closely its loudness follows the player's
    length: float = 1.0  # times the phrase's


# The lowest and the highest value of each knob that is a number.
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.05, 4.0),
    "top_p": (0.01, 1.0),
    "memory": (0.0, 1.0),
    "variation": (0.0, 1.0),
    "density": (0.25, 4.0),
    "register": (-36, 36),
    "voices": (1, 16),
    "velocity_follow": (0.0, 1.0),
    "length": (0.25, 8.0),
}
# The same on a controller: what lies beyond that few play, and nobody finds the middle again.
_WAYS: dict[str, tuple[float, float]] = {
    **RANGES,
    "temperature": (0.25, 4.0),
    "top_p": (0.5, 1.0),
    "length": (0.25, 4.0),
}
_WHOLE = ("register", "voices")
_GEOMETRIC = ("temperature", "density", "length")  # as far from half as from twice: 1 is in the middle
# What those that are not numbers, or not only, go through on a controller; any other key has to be named.
_CHOICES: dict[str, tuple[Value, ...]] = {
    "key": (None, INFERRED, *(f"{tonic} {name}" for name in ("major", "minor") for tonic in scale.TONICS)),
    "voices": (*range(1, 13), None),
}


def turned(steering: Steering, knob: str, value: Value) -> Steering:
    """With one knob at another value, `checked`."""
    changed: dict[str, Any] = {knob: checked(knob, value)}
    return replace(steering, **changed)


def checked(knob: str, value: Value) -> Value:
    """The value; a number beyond the knob's range is as near to it as can be. Raises `ValueError` for one that the
    knob cannot have.
    """
    if value is None and knob in ("style", "key", "voices"):
        return None
    if knob in RANGES and isinstance(value, float | int):
        low, high = RANGES[knob]
        value = min(max(value, low), high) if value == value else low  # NaN is no number
        return round(value) if knob in _WHOLE else float(value)
    if knob == "key" and isinstance(value, str):
        if value != INFERRED:
            scale.named(value)
        return value
    if knob == "style" and value in STYLES:
        return value
    raise ValueError(f"{reprlib.repr(value)} is nothing for {knob}")


def at(knob: str, share: float, styles: Sequence[str] = STYLES) -> Value:
    """The value at a share, 0 to 1, of a controller's way; `styles` are those that the weights know."""
    if (choices := _choices(knob, styles)) is not None:
        return choices[round(share * (len(choices) - 1))]
    low, high = _WAYS[knob]
    value = low * (high / low) ** share if knob in _GEOMETRIC else low + share * (high - low)
    return checked(knob, value)


def share(knob: str, value: Value, styles: Sequence[str] = STYLES) -> float:
    """Where on a controller's way a value lies, 0 to 1: at an end for a number beyond it, 0 for anything else that it
    does not come through.
    """
    if (choices := _choices(knob, styles)) is not None:
        return choices.index(value) / max(1, len(choices) - 1) if value in choices else 0.0
    assert isinstance(value, float | int)
    low, high = _WAYS[knob]
    value = min(max(value, low), high)
    return math.log(value / low, high / low) if knob in _GEOMETRIC else (value - low) / (high - low)


def _choices(knob: str, styles: Sequence[str]) -> tuple[Value, ...] | None:
    return (None, *styles) if knob == "style" else _CHOICES.get(knob)
