"""How tightly onsets keep to the grid."""

from __future__ import annotations

from typing import NamedTuple

from improv.music.timeline import TICKS_PER_BEAT


class Grid(NamedTuple):
    """Lines `step_ticks` apart. At `strength` 1 onsets lie on them, at 0 where they were played."""

    step_ticks: int = TICKS_PER_BEAT // 4
    strength: float = 0.0

    def onset(self, position: float, after: float) -> float:
        """Where an onset is to sound, which is not to sound at `after` or before."""
        line = round(position / self.step_ticks) * self.step_ticks
        moved = position + self.strength * (line - position)
        while moved <= after:
            moved += self.step_ticks
        return moved
