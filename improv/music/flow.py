"""How many notes come in a time, and how much oftener they are to."""

from __future__ import annotations

import math
from typing import NamedTuple

from improv.music.timeline import Timeline

FADE_S = 3.0  # a note counts less and less for about so long
GAIN = 2.0  # how much is asked for what is missing
MOST = 1.5  # times as much as what is to be, at most


class Haste(NamedTuple):
    """How waits are made shorter, or longer: a rhythm comes at a `pace` so many times its own."""

    pull: float = 0.0  # how much likelier a wait is to be than one e times as long, in nats
    pace: float = 1.0
    share: float = 0.0  # of what the network would play, that comes at that pace,
    of_memory: float = 0.0  # and of what is remembered


NO_HASTE = Haste()


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

    def haste(self, tick: int, density: float, line: Timeline) -> Haste:
        """So that there come so many times the player's notes.

        What is remembered is at his pace. The network takes up the pace at which it hears itself play, so it is told
        only while notes are missing, or too many.
        """
        wanted = math.log(density)
        if wanted == 0.0:
            return NO_HASTE
        missing = math.log(density * self.theirs / self.lately) + (tick - self.tick) / self.fade_ticks
        most = MOST * abs(wanted)
        pace = _octaves(density) if line.metric else density
        return Haste(
            pull=min(max(GAIN * missing, -most), most),
            pace=pace,
            share=_share(GAIN * missing / wanted),
            of_memory=_share(wanted / math.log(pace) + missing / wanted),
        )


def _octaves(density: float) -> float:
    """Twice, four times, half or a quarter, the first that is at least as far from 1: on a beat it keeps to that."""
    octaves = math.log2(density)
    return 2.0 ** (math.ceil(octaves) if octaves > 0 else math.floor(octaves))


def _share(share: float) -> float:
    return min(max(share, 0.0), 1.0)
