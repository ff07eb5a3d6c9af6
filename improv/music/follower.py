"""Follows a MIDI clock: which tick is which, how fast they come, and where in the song that is.

The tempo and the phase are those of a straight line through the newest ticks, by least squares. The line is through
as many of them as agree: four beats, and fewer while the tempo moves (choosing the window by whether its newest
residuals are within the noise is the rule of intersecting confidence intervals, Goldenshluger and Nemirovski 1997, in
its simplest form). The noise is estimated from second differences, which no steady tempo moves (von Neumann 1941),
by their median, which no single fault moves.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import ceil, copysign, log, sqrt
from operator import mul
from statistics import median
from typing import NamedTuple

from improv.music.events import Clock, Continue, FreeWheel, Retime, SongPosition, Start, Stop, Tick
from improv.music.timeline import NS, Timeline

PPQN = 24  # ticks of a MIDI clock in a quarter note
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
WINDOWS = (96, 48, 24, 12)  # ticks a line goes through, the longest that agrees
NEWEST = 5  # ticks whose residuals say whether a line agrees
PRIOR_NS = round(3e6 * 1.652)
OUTLIER, TWICE, LOST, NEW_TEMPO, GIVEN_UP = 16.0, 8.0, 6.0, 20.0, 40.0
TWICE_NS = 4e6
BEAM = 8
WANDER = 0.005
AGREE = 2.2
LEAST = 4  # ticks that give a first tempo, or prove a new one
TICKS_PER_SIXTEENTH = 6
ABSENT_TICKS, ABSENT_NS = 4, 150 * NS // 1000  # the ticks stay away after the longer of the two
LEAST_NOISE_NS = 250_000.0  # no clock is believed to be better
TELLING_NS = 100_000  # a line that differs by less within the next beat is not worth telling
SLEW_NS = 2_000_000  # the beat moves by no more at a tick, after an absence


def _interval_ns(bpm: float) -> float:
    return 60 * NS / (bpm * PPQN)


def _follows(interval_ns: float) -> bool:
    return _interval_ns(FASTEST_BPM) <= interval_ns <= _interval_ns(SLOWEST_BPM)


class _Reading(NamedTuple):
    """One way to count the ticks heard, and a Kalman filter of when the newest was due and of the interval."""

    cost: float  # minus twice the log of how likely it is
    number: int  # of the newest tick
    due_ns: float
    interval_ns: float
    p00: float
    p01: float
    p11: float
    ticks: list[tuple[int, int]]  # number and time
    old_ns: float | None

    def step(self, steps: int, time_ns: int, r: float, cost: float = 0.0) -> _Reading:
        p11 = self.p11
        due = self.due_ns + steps * self.interval_ns
        p00 = self.p00 + steps * (2 * self.p01 + steps * p11)
        p01 = self.p01 + steps * p11
        p11 += steps * (WANDER * self.interval_ns) ** 2
        late = time_ns - due
        s = p00 + r
        odd = late * late / s
        number = self.number + steps
        cost += self.cost + log(s / r)
        if odd > OUTLIER:
            return self._replace(cost=cost + OUTLIER, number=number, due_ns=due, p00=p00, p01=p01, p11=p11)
        k0, k1 = p00 / s, p01 / s
        return _Reading(
            cost + odd,
            number,
            due + k0 * late,
            self.interval_ns + k1 * late,
            p00 * (1 - k0),
            p01 * (1 - k0),
            p11 - k1 * p01,
            [*self.ticks[1 - WINDOWS[0] :], (number, time_ns)],
            self.old_ns,
        )

    def next(self, time_ns: int, r: float) -> Iterator[_Reading]:
        went_on = self.step(1, time_ns, r)
        yield went_on
        unsure = self.p11 > (self.interval_ns / 8) ** 2
        if went_on.cost - self.cost < 6 and not unsure:
            return
        gap = time_ns - self.ticks[-1][1]
        yield self._replace(cost=self.cost + TWICE + (gap / TWICE_NS) ** 2)
        steps = 2 if unsure else round((time_ns - self.due_ns) / self.interval_ns)
        if steps > 1:
            yield self.step(steps, time_ns, r, LOST + steps)
        if not unsure:
            wide = self._replace(p01=0.0, p11=4 * self.interval_ns**2, ticks=self.ticks[-1:], old_ns=None)
            yield wide.step(1, time_ns, r, NEW_TEMPO)


class _Comb:
    """Counts the ticks, whatever song they belong to, and lays the line through them."""

    def __init__(self) -> None:
        self.line: Timeline | None = None  # its beats are ticks counted / PPQN
        self._readings: list[_Reading] = []
        self._bends_ns: deque[int] = deque([PRIOR_NS] * 8, maxlen=48)  # second differences

    @property
    def number(self) -> int:
        return self._readings[0].number if self._readings else -1

    @property
    def settled(self) -> bool:
        return len(self._readings[0].ticks) >= PPQN

    @property
    def interval_ns(self) -> float | None:
        return self.line and _interval_ns(self.line.bpm)

    def position(self, time_ns: int) -> float:
        """In ticks."""
        return self.line.beat(time_ns) * PPQN if self.line else self.number + 1.0

    def restart(self, time_ns: int) -> None:
        """The ticks before say nothing about the phase of this one and those to come."""
        number = max(self.number + 1, round(self.position(time_ns)))
        old = self.interval_ns
        r = self._noise_ns**2
        i = old or NS / 40
        p11 = (0.003 * i) ** 2 if old else i * i
        self._readings = [_Reading(0.0, number, float(time_ns), i, r, 0.0, p11, [(number, time_ns)], old)]
        self._fit()

    def hear(self, time_ns: int) -> None:
        if not self._readings:
            return self.restart(time_ns)
        r = self._noise_ns**2
        every = sorted((new for one in self._readings for new in one.next(time_ns, r) if 0.9 * _interval_ns(FASTEST_BPM) <= new.interval_ns <= 1.1 * _interval_ns(SLOWEST_BPM)), key=lambda x: x[0])
        if not every: print('none'); return
        best = every[0].cost
        seen=set()
        self._readings = [one._replace(cost=one.cost - best) for one in every[:BEAM] if one.cost < best + GIVEN_UP]
        ticks = self._readings[0].ticks
        if len(ticks) > 2 and ticks[-3][0] == ticks[-1][0] - 2 and ticks[-1][1]==time_ns:
            self._bends_ns.append(abs(ticks[-1][1] - 2 * ticks[-2][1] + ticks[-3][1]))
        self._fit()

    def settle(self) -> None:
        del self._readings[1:]

    @property
    def _noise_ns(self) -> float:
        """The standard deviation of one tick: a second difference has √6 of it, and its median is at 0.6745."""
        return max(LEAST_NOISE_NS, median(self._bends_ns) / (0.6745 * sqrt(6)) if self._bends_ns else 0.0)

    def _fit(self) -> None:
        best = self._readings[0]
        ticks = best.ticks
        if best.old_ns is None and len(ticks) < LEAST:
            return
        number, newest_ns = ticks[-1]
        noise = self._noise_ns
        xs = [n - number for n, _ in ticks]
        ys = [time - newest_ns for _, time in ticks]
        for size in WINDOWS:
            if size >= 2 * len(xs) and size > WINDOWS[-1]:
                continue
            x, y = xs[-size:], ys[-size:]
            interval, due = self._least_squares(x, y)
            late = [b - due - a * interval for a, b in zip(x, y)]
            if max(abs(median(late[-NEWEST:])), abs(median(late[:NEWEST]))) <= AGREE * noise:
                break
        if _follows(interval):
            bpm = 60 * NS / (interval * PPQN)
            self.line = Timeline(bpm, newest_ns, (number - due / interval) / PPQN)

    def _least_squares(self, x: list[int], y: list[int]) -> tuple[float, float]:
        """The interval, and when the newest tick was due, both in ns."""
        n, sx, sy = len(x), sum(x), sum(y)
        spread = n * sum(map(mul, x, x)) - sx * sx
        interval = (n * sum(map(mul, x, y)) - sx * sy) / spread if spread else 0.0
        old = self._readings[0].old_ns
        if old is not None and n < PPQN and (n < LEAST or abs(interval - old) < 3 * self._noise_ns * sqrt(12 / n**3)):
            interval = old
        return interval, (sy - interval * sx) / n


class Follower:
    """Where a song is, by the clock of its master."""

    def __init__(self, metre: tuple[int, int] = (4, 4)) -> None:
        self._metre = metre
        self._comb = _Comb()
        self._told: Timeline | None = None
        self._tick_ns: int | None = None
        self._shift = 0  # a tick of the song minus its number in the comb
        self._standing: int | None = 0  # the tick of the song that comes next, where it does not just go on
        self._rolling = False
        self._anew = False  # the next tick need not be in phase with those before
        self._lost = False
        self._slewing = False

    def hear(self, event: Clock) -> list[Retime | FreeWheel]:
        said: list[Retime | FreeWheel] = []
        if gone := self.due(event.time_ns):
            said.append(gone)
        match event:
            case Tick(time_ns):
                said += self._tick(time_ns)
            case Start():
                self._rolling = self._anew = True
                self._standing = 0
            case Continue():
                self._anew |= not self._rolling
                self._rolling = True
            case SongPosition(_, sixteenths):
                self._standing = sixteenths * TICKS_PER_SIXTEENTH
            case Stop(time_ns) if self._rolling:
                said += self._stop(time_ns)
        return said

    def deadline(self) -> int | None:
        if self._lost or self._told is None or not self._told.metric or self._tick_ns is None:
            return None
        return self._tick_ns + self._absence_ns()

    def due(self, now: int) -> FreeWheel | None:
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return None
        self._lost = True
        return FreeWheel(deadline, lost=True)

    def _absence_ns(self) -> int:
        return max(ABSENT_NS, ABSENT_TICKS * round(self._comb.interval_ns or 0))

    def _stop(self, now: int) -> list[Retime | FreeWheel]:
        said: list[Retime | FreeWheel] = []
        if self._lost:
            said.append(FreeWheel(now, lost=False))
        if self._standing is None:
            gone_by = ceil(self._comb.position(now)) if self._lost else 0
            self._standing = max(self._comb.number + 1, gone_by) + self._shift
        self._rolling = self._lost = self._slewing = False
        return said + self._tell(now, jump=True) if self._told and self._told.metric else said

    def _tick(self, now: int) -> list[Retime | FreeWheel]:
        away = self._tick_ns is not None and now - self._tick_ns >= self._absence_ns()
        self._tick_ns = now
        if away or self._anew:
            self._comb.restart(now)
        else:
            self._comb.hear(now)
        self._anew = False
        jump = self._locate() if self._rolling and self._standing is not None else False
        said: list[Retime | FreeWheel] = []
        if self._lost:
            if away and not jump:
                return said  # one tick does not make a clock
            self._lost, self._slewing = False, True
            said.append(FreeWheel(now, lost=False))
        return said + self._tell(now, jump)

    def _locate(self) -> bool:
        """The newest tick is the standing position. Says whether the count does not simply go on."""
        self._comb.settle()
        shift = (self._standing or 0) - self._comb.number
        jump = shift != self._shift or self._told is None or not self._told.metric
        self._shift, self._standing = shift, None
        self._slewing &= not jump
        return jump

    def _tell(self, now: int, jump: bool) -> list[Retime | FreeWheel]:
        line, told = self._comb.line, self._told
        if line is None:
            return []
        beat = line.beat(now) + self._shift / PPQN
        if told is not None and not jump and self._slewing:
            move, most = beat - told.beat(now), SLEW_NS * line.bpm / (60 * NS)
            if abs(move) > most:
                beat = told.beat(now) + copysign(most, move)
            elif self._comb.settled:
                self._slewing = False
        new = Timeline(line.bpm, now, beat, self._rolling, 0.0, self._metre)
        if told is not None and not jump and not self._matters(told, new):
            return []
        self._told = new
        return [Retime(now, new, jump or told is None)]

    def _matters(self, told: Timeline, new: Timeline) -> bool:
        """Whether the lines part within the next beat."""
        beat_ns = 60 * NS / new.bpm
        times = (new.origin_ns, new.origin_ns + round(beat_ns))
        return any(abs(told.beat(t) - new.beat(t)) * beat_ns > TELLING_NS for t in times)
