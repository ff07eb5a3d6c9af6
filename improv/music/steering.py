"""What a musician can steer while it plays: each knob and its range."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

Value = float | str | None


@dataclass(frozen=True)
class Steering:
    """How it is to play. Each field is a knob, which may be turned at any time (`turned`)."""

    style: str | None = None  # None: the network is not told one
    temperature: float = 0.95
    top_p: float = 0.95
    memory: float = 0.5  # how strongly it draws on what the player has played


# The lowest and the highest value of each knob that is a number.
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.05, 4.0),
    "top_p": (0.01, 1.0),
    "memory": (0.0, 1.0),
}


def turned(steering: Steering, knob: str, value: Value) -> Steering:
    """With one knob at another value; a number beyond its range is as near to it as can be."""
    if isinstance(value, float | int) and knob in RANGES:
        low, high = RANGES[knob]
        value = min(max(value, low), high) if math.isfinite(value) else low
    changed: dict[str, Any] = {knob: value}
    return replace(steering, **changed)
