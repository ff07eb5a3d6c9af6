"""Every musical setting of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from improv.music.belts import Belts
from improv.music.grid import Grid
from improv.music.steering import Steering
from improv.music.turns import TurnRules
from improv.music.zone import Zone

PLAIN = Steering(temperature=1.0, top_p=1.0, memory=0.0)  # what the network says, nothing added


@dataclass(frozen=True)
class Time:
    """Where the beat comes from, how answers keep to it, and how turns are taken in it."""

    source: str = "internal"  # `internal`, `midi` or `link`
    bpm: float | None = None  # of the internal clock, from the first note on; None: free time
    metre: tuple[int, int] = (4, 4)
    offset_ns: int = 0  # the beat is so much later than the clock says
    enter: str = "beat"  # an answer begins on the next `bar` or `beat`, or `now`
    grid: Grid = field(default_factory=Grid)
    mode: str = "call"  # how turns are taken, one of `turns.MODES`
    bars: int = 4  # of each turn, in `trade`


@dataclass(frozen=True)
class Musicianship:
    steering: Steering = PLAIN
    turns: TurnRules = field(default_factory=TurnRules)
    time: Time = field(default_factory=Time)
    out_latency_ns: int = 0  # what is played is sent so much before its time
    belts: Belts = field(default_factory=Belts)
    zone: Zone = field(default_factory=Zone)
    forget_s: float = 30.0  # of silence, then the network starts afresh
    listens_for_the_end: bool = True  # False: answers only when asked (`Ask`), and at once
    seed: int = 0
