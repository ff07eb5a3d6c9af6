"""How many notes come in a time, and how much oftener they are to."""

from __future__ import annotations

import math

FADE_S = 3.0  # a note counts less and less for about so long
GAIN = 2.0  # how much is asked for what is missing
MOST = 1.5  # times as much as what is to be, at most


class Flow:
    """Of an answer, which goes on from a player's so many notes a second. In ticks."""

    def __init__(self, notes_per_s: float, tick: int, ticks_per_s: float) -> None:
        self._theirs = notes_per_s / ticks_per_s  # a tick
        self._fade_ticks = FADE_S * ticks_per_s
        self._lately, self._tick = self._theirs, tick

    def strike(self, tick: int) -> None:
        faded = self._lately * math.exp((self._tick - tick) / self._fade_ticks)
        self._lately, self._tick = faded + 1 / self._fade_ticks, tick

    def pull(self, tick: int, density: float) -> float:
        """How much likelier a wait is to be than one e times as long (below 0: less likely), in nats, so that there
        come so many times the player's notes. 0 where there do, and at a density of 1.
        """
        wanted = math.log(density)
        missing = GAIN * (math.log(density * self._theirs / self._lately) + (tick - self._tick) / self._fade_ticks)
        return min(max(missing, 0.0), MOST * wanted) if wanted > 0 else max(min(missing, 0.0), MOST * wanted)
