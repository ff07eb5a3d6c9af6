"""Counts the ticks of a MIDI clock: which is which, and how fast they come.

Counting: a tick may be the next, a late one, one after others that were lost, the one before delivered twice, or the
first at a new tempo. All readings are kept that are not much less likely than the best, each with its own Kalman
filter of phase and tempo, so a few ticks later it shows which was right (multiple hypothesis tracking, Reid 1979; for
tempo, Cemgil and Kappen 2003).

Tempo and phase are then those of a straight line through the newest ticks of the best reading, by least squares:
through four beats, and fewer while the tempo moves, the most of which both ends agree with the line (after
Goldenshluger and Nemirovski 1997). The noise is estimated from second differences, which no steady tempo moves
(after von Neumann 1941).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import log, sqrt
from statistics import median
from typing import NamedTuple

from improv.music.pulse import PPQN
from improv.music.timeline import NS, Timeline

TICK_NS = 60 * NS / PPQN  # at one beat a minute
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
SLOWEST_NS, FASTEST_NS = TICK_NS / SLOWEST_BPM, TICK_NS / FASTEST_BPM  # the intervals that are followed
WINDOWS = (96, 48, 24, 12)  # ticks a line goes through
LEAST = 4  # ticks of a first line
ENDS, AGREES = 5, 1.2  # ticks at either end of a line, whose median lies so many deviations from it, at most

# What a fault costs a reading, as minus twice the log of its odds.
LATE, HELD_UP, TWICE, LOST, NEW_TEMPO = 16.0, 4.0, 10.0, 10.0, 20.0
GIVEN_UP = 40.0  # a reading that costs so much more than the best
READINGS = 8  # kept at most
ALIKE = 100  # readings whose phase and tempo are within a 100th cannot be told apart later
TWICE_NS, SAME_NS = 3_000_000, 1_500_000  # a tick comes again so soon; and what is sooner can be nothing else
WANDER = 0.003  # of the tempo, a tick
MOVED = 1.5  # deviations: where a tick is so far off, the tempo may be new

NOISES_NS = 250_000.0, 4_000_000.0  # deviation of a tick: no clock is believed to be better; one not yet heard
DISTRUST = 2.0  # what is measured is taken for so much more: a driver's periods make gaps that are alike for a while
BENDS = 96  # second differences that tell the noise


class _Mark(NamedTuple):
    """A tick counted, and running sums to it of numbers x and times t: exact, in integers."""

    number: int
    time_ns: int
    n: int
    x: int
    t: int
    xx: int
    xt: int


def _mark(number: int, time_ns: int, before: _Mark | None = None) -> _Mark:
    _, _, n, x, t, xx, xt = before or (0,) * 7
    return _Mark(number, time_ns, n + 1, x + number, t + time_ns, xx + number * number, xt + number * time_ns)


class _Reading(NamedTuple):
    """One way to count the ticks, with a Kalman filter of when the newest was due and of the interval."""

    cost: float
    number: int  # of the newest tick
    came_ns: int  # when it did
    due_ns: float
    interval_ns: float
    p00: float  # their covariance
    p01: float
    p11: float
    marks: list[_Mark]  # since the tempo was new
    old_ns: float | None  # the interval before, believed until the marks say otherwise

    def next(self, time_ns: int, noise: float) -> Iterator[_Reading]:
        """What one more tick may be."""
        gap = time_ns - self.came_ns
        if gap < 2 * TWICE_NS:
            yield self._replace(cost=self.cost + TWICE + (gap / TWICE_NS) ** 2)
        if gap < SAME_NS:
            return
        yield self._tick(1, time_ns, noise)
        ahead = (time_ns - self.due_ns) / self.interval_ns
        unsure = self.p11 > (self.interval_ns / 8) ** 2  # the tempo is hardly known yet
        steps = 2 if unsure else round(ahead)
        if steps > 1:
            yield self._tick(steps, time_ns, noise, LOST + steps)
        if not unsure and abs(ahead - 1) * self.interval_ns > MOVED * sqrt(self.p00 + noise):
            wide, marks = (SLOWEST_NS / 3) ** 2, [_mark(self.number, self.came_ns)]
            anew = _Reading(
                self.cost, self.number, self.came_ns, self.came_ns, self.interval_ns, noise, 0.0, wide, marks, None
            )
            yield anew._tick(1, time_ns, noise, NEW_TEMPO)

    def _tick(self, steps: int, time_ns: int, noise: float, cost: float = 0.0) -> _Reading:
        """The filter, `steps` ticks on."""
        number, due = self.number + steps, self.due_ns + steps * self.interval_ns
        p00 = self.p00 + steps * (2 * self.p01 + steps * self.p11)
        p01 = self.p01 + steps * self.p11
        p11 = self.p11 + steps * (WANDER * self.interval_ns) ** 2
        late, spread = time_ns - due, p00 + noise
        odd = late * late / spread
        held_up = late > 0 and time_ns - self.came_ns < TWICE_NS  # as the one before was
        cost += self.cost + log(spread / noise) + min(odd, HELD_UP if held_up else LATE)
        if odd > LATE:  # it counts, but its time says nothing
            return _Reading(cost, number, time_ns, due, self.interval_ns, p00, p01, p11, self.marks, self.old_ns)
        k0, k1 = p00 / spread, p01 / spread
        due, interval = due + k0 * late, self.interval_ns + k1 * late
        p00, p01, p11 = p00 * (1 - k0), p01 * (1 - k0), p11 - k1 * p01
        marks = [*self.marks[1 - WINDOWS[0] :], _mark(number, time_ns, self.marks[-1])]
        return _Reading(cost, number, time_ns, due, interval, p00, p01, p11, marks, self.old_ns)


class Comb:
    """Counts ticks, whatever song they belong to, and lays the line through them.

    A clock of more than 400 bpm is taken for a slower one that sends ticks twice; one of less than 20 bpm, for none.
    """

    def __init__(self) -> None:
        self.line: Timeline | None = None  # its beats are ticks counted / PPQN
        self.number = -1
        self._readings: list[_Reading] = []  # the best first
        self._came: deque[int] = deque(maxlen=3)  # when the newest ticks did, none between them lost
        self._bends = deque([6 * (NOISES_NS[1] / DISTRUST) ** 2] * PPQN, maxlen=BENDS)  # second differences, squared
        self._noise_ns = NOISES_NS[1]

    @property
    def interval_ns(self) -> float | None:
        return TICK_NS / self.line.bpm if self.line else None

    @property
    def settled(self) -> bool:
        return len(self._readings[0].marks) >= PPQN

    def position(self, time_ns: int) -> float:
        """In ticks."""
        return self.line.beat(time_ns) * PPQN if self.line else self.number + 1.0

    def restart(self, time_ns: int) -> None:
        """The ticks before say nothing about the phase of those from here on, but their tempo may go on."""
        self.number = max(self.number + 1, round(self.position(time_ns)))
        old = self.interval_ns
        interval, spread = (old, 0.01 * old) if old else (TICK_NS / 100, TICK_NS / 100)
        marks = [_mark(self.number, time_ns)]
        self._came.clear()
        self._readings = [
            _Reading(0.0, self.number, time_ns, time_ns, interval, self._noise_ns**2, 0.0, spread**2, marks, old)
        ]
        self._fit()

    def hear(self, time_ns: int) -> None:
        noise = self._noise_ns**2
        found = [new for one in self._readings for new in one.next(time_ns, noise)]
        found = [one for one in found if 0.9 * FASTEST_NS < one.interval_ns < 1.1 * SLOWEST_NS]
        if not found:
            return self.restart(time_ns)
        found.sort(key=lambda one: one.cost)
        kept: dict[tuple[int, ...], _Reading] = {}
        for one in found:
            if one.cost < found[0].cost + GIVEN_UP and len(kept) < READINGS:
                phase, tempo = (time_ns - one.due_ns) / one.interval_ns, log(one.interval_ns)
                kept.setdefault((round(ALIKE * phase), round(ALIKE * tempo)), one)
        self._readings = list(kept.values())
        best, before = found[0], self.number
        self.number = best.number
        if best.came_ns == time_ns:
            self._listen(best.number - before, time_ns)
            self._fit()

    def decide(self) -> None:
        """The best reading is the right one: others would count from elsewhere."""
        del self._readings[1:]

    def _listen(self, steps: int, time_ns: int) -> None:
        """How noisy the clock is: at most a quarter of an interval, or any count would seem possible."""
        if steps != 1:
            self._came.clear()
        self._came.append(time_ns)
        if len(self._came) == 3:
            first, second, third = self._came
            self._bends.append(float(third - 2 * second + first) ** 2)
            noise = DISTRUST * sqrt(sum(self._bends) / len(self._bends) / 6)  # white jitter bends by √6 of itself
            self._noise_ns = min(max(NOISES_NS[0], noise), self._readings[0].interval_ns / 4)

    def _fit(self) -> None:
        best = self._readings[0]
        marks, newest = best.marks, best.marks[-1]
        if len(marks) < LEAST and best.old_ns is None:
            return
        for size in WINDOWS:
            if size // 2 >= len(marks) and size > WINDOWS[-1]:
                continue
            window = marks[-size:]
            interval, due = self._least_squares(window, best.old_ns)
            off = [
                median(m.time_ns - newest.time_ns - due - interval * (m.number - newest.number) for m in end)
                for end in (window[:ENDS], window[-ENDS:])
            ]
            if max(map(abs, off)) < AGREES * self._noise_ns:
                break
        if FASTEST_NS <= interval <= SLOWEST_NS:
            self.line = Timeline(TICK_NS / interval, newest.time_ns, (newest.number - due / interval) / PPQN)

    def _least_squares(self, window: list[_Mark], old_ns: float | None) -> tuple[float, float]:
        """The interval, and when the newest tick was due, after it came; both in ns."""
        a, b = window[0], window[-1]
        n, x, t = len(window), b.x - a.x + a.number, b.t - a.t + a.time_ns
        xx, xt = b.xx - a.xx + a.number**2, b.xt - a.xt + a.number * a.time_ns
        interval = (n * xt - x * t) / (n * xx - x * x) if n > 1 else 0.0
        if old_ns and n < PPQN:
            error = self._noise_ns * sqrt(12 / n**3)
            interval = old_ns if n < LEAST or abs(interval - old_ns) < 3 * error else interval
        return interval, (t - n * b.time_ns + interval * (n * b.number - x)) / n
