"""Follows a MIDI clock: where its master is in the song, and how fast.

Locked means a phase within 5 ms and a tempo within 1 %: within the first beat at a jitter of 1 ms.
"""

from __future__ import annotations

from collections import deque
from math import ceil, copysign

from improv.music.comb import Comb
from improv.music.events import Clock, Continue, FreeWheel, Retime, SongPosition, Start, Stop, Tick
from improv.music.pulse import PPQN, TICKS_PER_SIXTEENTH
from improv.music.timeline import NS, Timeline

ABSENT_TICKS, ABSENT_NS = 4, 150_000_000  # the ticks stay away after the longer of the two
BACK_TICKS = 6  # after an absence, so many are a clock again,
HELD_UP = 2.5  # unless they come so many times as fast as before, for they were held up;
BURST_NS = 2 * NS  # but not if that goes on for so long
TELLING_NS = 100_000  # a line that differs by less within the next beat is not worth telling
SLEW_NS = 2_000_000  # the beat moves by no more at a tick, after an absence


class Follower:
    """Where a song is, by the clock of its master.

    The timelines count the beats of the song: Start is beat 0, and the first tick after Start or Continue is the
    standing position. While the master stands still they are not metric and only their tempo means anything.
    """

    def __init__(self, metre: tuple[int, int] = (4, 4)) -> None:
        self._metre = metre
        self._comb = Comb()
        self._told: Timeline | None = None
        self._tick_ns: int | None = None  # when the last was heard
        self._shift = 0  # a tick of the song minus its number in the comb
        self._standing: int | None = 0  # the tick of the song that comes next, where it does not just go on
        self._rolling = False
        self._anew = True  # the next tick need not be in phase with those before
        self._away_till_ns: int | None = None  # after an absence, while the ticks that came since are no clock yet
        self._came: deque[int] = deque(maxlen=BACK_TICKS)  # the newest of them
        self._lost = False
        self._slewing = False

    def hear(self, event: Clock) -> list[Retime | FreeWheel]:
        gone = self.due(event.time_ns)
        said: list[Retime | FreeWheel] = [gone] if gone else []
        match event:
            case Tick(time_ns):
                said += self._tick(time_ns)
            case Start():
                self._rolling, self._anew, self._standing = True, True, 0
            case Continue() if not self._rolling:
                self._rolling, self._anew = True, True
            case SongPosition(_, sixteenths):
                self._standing = sixteenths * TICKS_PER_SIXTEENTH
            case Stop(time_ns) if self._rolling:
                said += self._stop(time_ns)
        return said

    def deadline(self) -> int | None:
        """When to call `due` if nothing is heard."""
        if self._lost or self._tick_ns is None or self._told is None or not self._told.metric:
            return None
        return self._tick_ns + self._absence_ns

    def due(self, now: int) -> FreeWheel | None:
        """Says, once, that the ticks stay away: the last timeline goes on without them."""
        deadline = self.deadline()
        if deadline is None or now < deadline:
            return None
        self._lost = True
        return FreeWheel(deadline, lost=True)

    @property
    def _absence_ns(self) -> int:
        return max(ABSENT_NS, ABSENT_TICKS * round(self._comb.interval_ns or 0))

    def _tick(self, now: int) -> list[Retime | FreeWheel]:
        if self._tick_ns is not None and now - self._tick_ns >= self._absence_ns:
            self._away_till_ns = now
            self._came.clear()
        self._tick_ns = now
        standing = self._standing if self._rolling else None
        away = self._away_till_ns is not None
        if away and standing is None and not self._anew and not self._back(now):
            return []
        if away or self._anew:
            self._comb.restart(now)
        else:
            self._comb.hear(now)
        self._away_till_ns, self._anew = None, False
        jump = standing is not None and self._locate(standing)
        if not self._lost:
            return self._tell(now, jump)
        self._lost, self._slewing = False, not jump
        return [FreeWheel(now, lost=False), *self._tell(now, jump)]

    def _back(self, now: int) -> bool:
        """Whether the ticks are a clock again: those of a burst that was held up tell neither tempo nor phase."""
        interval_ns = self._comb.interval_ns
        if interval_ns is None or self._away_till_ns is None:
            return True
        self._came.append(now)
        least_ns = (BACK_TICKS - 1) * interval_ns / HELD_UP
        spread = len(self._came) == BACK_TICKS and now - self._came[0] >= least_ns
        return spread or now - self._away_till_ns >= BURST_NS

    def _locate(self, standing: int) -> bool:
        """The newest tick is the standing position. Says whether the count does not simply go on."""
        self._comb.decide()
        before, self._shift, self._standing = self._shift, standing - self._comb.number, None
        return self._shift != before or self._told is None or not self._told.metric

    def _stop(self, now: int) -> list[Retime | FreeWheel]:
        if self._standing is None:
            gone_by = ceil(self._comb.position(now)) if self._lost else 0
            self._standing = max(self._comb.number + 1, gone_by) + self._shift
        said: list[Retime | FreeWheel] = [FreeWheel(now, lost=False)] if self._lost else []
        self._rolling = self._lost = self._slewing = False
        return said + self._tell(now, jump=True) if self._told and self._told.metric else said

    def _tell(self, now: int, jump: bool) -> list[Retime | FreeWheel]:
        line, told = self._comb.line, self._told
        if line is None:
            return []
        beat = line.beat(now) + self._shift / PPQN
        if told and not jump and self._slewing:
            beat = self._slewed(told.beat(now), beat, line.bpm)
        new = Timeline(line.bpm, now, beat, self._rolling, 0.0, self._metre)
        if told and not jump and not self._matters(told, new):
            return []
        self._told = new
        return [Retime(now, new, jump or told is None)]

    def _slewed(self, told: float, beat: float, bpm: float) -> float:
        most = SLEW_NS * bpm / (60 * NS)
        if abs(beat - told) > most:
            return told + copysign(most, beat - told)
        self._slewing = not self._comb.settled
        return beat

    def _matters(self, told: Timeline, new: Timeline) -> bool:
        beat_ns = 60 * NS / new.bpm
        times = new.origin_ns, new.origin_ns + round(beat_ns)
        return any(abs(told.beat(time) - new.beat(time)) * beat_ns > TELLING_NS for time in times)
