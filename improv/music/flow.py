"""How many notes come in a time, and how much oftener they are to."""

from __future__ import annotations

import math
from typing import NamedTuple

FADE_S = 3.0  # a note counts less and less for about so long
GAIN = 2.0  # how much is asked for what is missing
MOST = 1.5  # times as much as what is to be, at most


class Flow(NamedTuple):
    """Of an answer, up to its last note."""

    theirs: float  # the player's notes a tick, from which it goes on
    fade_ticks: float
    lately: float
    tick: int

    @classmethod
    def begin(cls, notes_per_s: float, tick: int, ticks_per_s: float) -> Flow:
        theirs = notes_per_s / ticks_per_s
        return cls(theirs, FADE_S * ticks_per_s, theirs, tick)

    def strike(self, tick: int) -> Flow:
        """With one more note."""
        faded = self.lately * math.exp((self.tick - tick) / self.fade_ticks)
        return self._replace(lately=faded + 1 / self.fade_ticks, tick=tick)

    def pull(self, tick: int, density: float) -> float:
        """How much likelier a wait is to be than one e times as long (below 0: less likely), in nats, so that there
        come so many times the player's notes. 0 where there do, and at a density of 1.
        """
        wanted = math.log(density)
        missing = GAIN * (math.log(density * self.theirs / self.lately) + (tick - self.tick) / self.fade_ticks)
        return min(max(missing, 0.0), MOST * wanted) if wanted > 0 else max(min(missing, 0.0), MOST * wanted)
