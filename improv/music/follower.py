"""Follows a MIDI clock: which tick is which, how fast they come, and where in the song that is.

Tempo and phase are those of a straight line through the newest ticks, by least squares: through four beats, and fewer
while the tempo moves, the most of which the newest residuals agree (the rule of intersecting confidence intervals,
Goldenshluger and Nemirovski 1997, in its simplest form).

Locked means a phase within 5 ms and a tempo within 1 %: within the first beat at a jitter of 1 ms.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import ceil, copysign, sqrt
from operator import mul

from improv.music.events import Clock, Continue, FreeWheel, Retime, SongPosition, Start, Stop, Tick
from improv.music.timeline import NS, Timeline

PPQN = 24  # ticks of a MIDI clock in a quarter note
SLOWEST_BPM, FASTEST_BPM = 20.0, 400.0
WINDOWS = (96, 48, 24, 12)  # ticks a line goes through, the longest that agrees
NEWEST, AGREES = 5, 3.0  # ticks whose mean residual lies within so many of its deviations
LEAST, SURE = 5, 0.01  # ticks that give a first tempo, and how sure of it they must be, as a share
NEXT = 0.4, 1.6  # of an interval after the last one: the next tick
GAPS = 6  # between ticks, that tell a new tempo if they agree
ALIKE = 0.2  # how far they may lie apart, as a share
NEW_TEMPO, CERTAIN = (
    0.12,
    6.0,
)  # what is less far away the line follows by itself; or so many deviations, if that is more
TICKS_PER_SIXTEENTH = 6
ABSENT_TICKS, ABSENT_NS = 4, 150 * NS // 1000  # the ticks stay away after the longer of the two
LEAST_NOISE_NS, UNKNOWN_NOISE_NS = 250_000.0, 2_000_000.0  # of a tick
TELLING_NS = 100_000  # a line that differs by less within the next beat is not worth telling
SLEW_NS = 2_000_000  # the beat moves by no more at a tick, after an absence


def _interval_ns(bpm: float) -> float:
    return 60 * NS / (bpm * PPQN)


def _follows(interval_ns: float) -> bool:
    return _interval_ns(FASTEST_BPM) <= interval_ns <= _interval_ns(SLOWEST_BPM)


class _Comb:
    """Counts the ticks, whatever song they belong to, and lays the line through them.

    A tick is the nearest one by the line, so those that were lost are counted, one that came twice is not, and a
    mistake about one is put right by the next. Only a new tempo must be noticed otherwise.
    """

    def __init__(self) -> None:
        self.line: Timeline | None = None  # its beats are ticks counted / PPQN
        self.number = -1  # of the newest tick
        self._prior_ns: float | None = None  # the interval before a new start: believed until the ticks say otherwise
        self._ticks: deque[tuple[int, int]] = deque(maxlen=WINDOWS[0])  # those counted: time and number
        self._heard: deque[tuple[int, int]] = deque(maxlen=GAPS + 1)  # all of late, and what each was taken for
        self._noise_ns = UNKNOWN_NOISE_NS

    @property
    def settled(self) -> bool:
        return len(self._ticks) >= PPQN

    @property
    def interval_ns(self) -> float | None:
        return self.line and _interval_ns(self.line.bpm)

    def position(self, time_ns: int) -> float:
        """In ticks."""
        return self.line.beat(time_ns) * PPQN if self.line else self.number + 1.0

    def restart(self, time_ns: int) -> None:
        """The ticks before say nothing about the phase of this one and those to come."""
        self._prior_ns = self.interval_ns
        self._heard.clear()
        self._ticks.clear()
        self._count(time_ns, max(self.number + 1, round(self.position(time_ns))))
        if self._prior_ns is not None:
            self._fit()

    def hear(self, time_ns: int) -> None:
        if self.line is None:
            self._lock_in(time_ns)
            return
        ahead = self.position(time_ns) - self.number
        step = 1 if NEXT[0] < ahead < NEXT[1] else max(0, round(ahead))
        if step:
            self._count(time_ns, self.number + step)
        else:
            self._heard.append((time_ns, self.number))
        self._notice_a_new_tempo()
        self._fit()

    def _count(self, time_ns: int, number: int) -> None:
        self._ticks.append((time_ns, number))
        self._heard.append((time_ns, number))
        self.number = number

    def _lock_in(self, time_ns: int) -> None:
        """No tempo yet: each tick is taken for the next, until a line through them is sure enough of its own."""
        self._count(time_ns, self.number + 1)
        if len(self._ticks) < LEAST:
            return
        while len(self._ticks) > PPQN:
            self._ticks.popleft()
        xs, ys = self._recent()
        interval, due = self._least_squares(xs, ys)
        off = [y - due - x * interval for x, y in zip(xs, ys, strict=True)]
        noise_ns = max(LEAST_NOISE_NS, sqrt(sum(e * e for e in off) / (len(off) - 2)))
        if noise_ns * sqrt(12 / len(off) ** 3) < SURE * interval and _follows(interval):
            self._noise_ns = noise_ns
            self._fit()

    def _notice_a_new_tempo(self) -> None:
        """If the newest gaps agree on another tempo, each of them is one tick, and the line begins with them."""
        times = [time_ns for time_ns, _ in self._heard]
        if len(times) <= GAPS or self.interval_ns is None:
            return
        middle = sorted(later - sooner for sooner, later in pairwise(times))[1:-1]
        means = sum(middle) / len(middle), (times[-1] - times[0]) / GAPS  # no loss moves the one, no stall the other
        least = max(NEW_TEMPO * self.interval_ns, CERTAIN * self._noise_ns * sqrt(2) / GAPS)
        agree = middle[-1] - middle[0] <= ALIKE * means[0] + 3 * self._noise_ns and _follows(means[0])
        slower = all(mean > self.interval_ns + least for mean in means)
        faster = all(mean < self.interval_ns - least for mean in means)
        if agree and (slower or faster):
            first = self._heard[0][1]
            counted = [(time_ns, first + i) for i, time_ns in enumerate(times)]
            self._heard.clear()
            self._heard.extend(counted)
            self._ticks.clear()
            self._ticks.extend(counted[1 - GAPS :])
            self.number, self._prior_ns = first + GAPS, None

    def _recent(self) -> tuple[list[int], list[int]]:
        """Numbers and times of the ticks, from the newest."""
        newest_ns = self._ticks[-1][0]
        return [number - self.number for _, number in self._ticks], [time_ns - newest_ns for time_ns, _ in self._ticks]

    def _fit(self) -> None:
        """The longest line that the newest ticks agree with."""
        xs, ys = self._recent()
        sizes = [size for size in WINDOWS if size < 2 * len(xs)] or [len(xs)]
        for size in sizes:
            x, y = xs[-size:], ys[-size:]
            interval, due = self._least_squares(x, y)
            off = [b - due - a * interval for a, b in zip(x, y, strict=True)]
            if abs(sum(off[-NEWEST:])) <= AGREES * self._noise_ns * sqrt(NEWEST):
                break
        if len(off) >= WINDOWS[-1]:
            near = off[-PPQN:]
            self._noise_ns = max(
                LEAST_NOISE_NS, sqrt(sum(sorted(e * e for e in near)[: len(near) - 2]) / (len(near) - 4))
            )
        if _follows(interval):
            self.line = Timeline(60 * NS / (interval * PPQN), self._ticks[-1][0], (self.number - due / interval) / PPQN)

    def _least_squares(self, x: list[int], y: list[int]) -> tuple[float, float]:
        """The interval, and when the newest tick was due, both in ns."""
        n, sx, sy = len(x), sum(x), sum(y)
        spread = sum(map(mul, x, x)) - sx * sx / n
        product = sum(map(mul, x, y)) - sx * sy / n
        if self._prior_ns is not None and n < PPQN:  # as if so many ticks had told it
            weight = PPQN**3 / 12
            spread, product = spread + weight, product + weight * self._prior_ns
        interval = product / spread if spread else 0.0
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
        if self._standing is None:
            gone_by = ceil(self._comb.position(now)) if self._lost else 0
            self._standing = max(self._comb.number + 1, gone_by) + self._shift
        self._rolling = self._lost = self._slewing = False
        return self._tell(now, jump=True) if self._told and self._told.metric else []

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
