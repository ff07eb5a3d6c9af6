"""How tightly onsets keep to the grid."""

from __future__ import annotations

import math
from typing import NamedTuple

from improv.music.timeline import ROUNDING, TICKS_PER_BEAT


class Grid(NamedTuple):
    """Lines `step_ticks` apart. At `strength` 1 onsets lie on them, at 0 where they were played."""

    step_ticks: int = TICKS_PER_BEAT // 4
    strength: float = 0.0

    @property
    def reach_ticks(self) -> float:
        """No onset sounds sooner than it was played by more than that."""
        return self.strength * self.step_ticks / 2

    def onset(self, position: float, earliest: float) -> float:
        """Where an onset is to sound: nearer to its line, but not before `earliest`, where it was not played either."""
        line = math.floor(position / self.step_ticks + 0.5) * self.step_ticks
        if line < earliest - ROUNDING:
            line += self.step_ticks
        return position + self.strength * (line - position)
