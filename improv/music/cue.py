"""When an answer is decided, where it begins and where it ends."""

from __future__ import annotations

import math

from improv.music.answer import Manner, Turn
from improv.music.events import Ask
from improv.music.grid import Grid
from improv.music.timeline import NS, ROUNDING, TICKS_PER_BEAT, Timeline
from improv.music.turns import Phrase

LEAD_NS = 5_000_000  # live, an answer begins so long after it was decided: its first chord is then on time, whole
BEAT_LEAD_NS = 30_000_000  # the same before a beat or a bar line, where waiting costs nothing
UNKNOWN_LENGTH_NS = 4 * NS  # of an answer to nothing


class Cue:
    def __init__(self, enter: str, grid: Grid, live: bool, longest_ns: int, latency_ns: int) -> None:
        """Answers begin on the next `bar` or `beat`, or `now`; where nobody plays along, at once."""
        self._enter, self._grid, self._live, self._longest_ns = enter, grid, live, longest_ns
        self.latency_ns = latency_ns  # what is played is sent so much before its time

    def decision_ns(self, from_ns: int, line: Timeline) -> int:
        """When an answer that may begin from a moment on is decided: then, or just before the line it begins on."""
        return max(from_ns, self.before_ns(self._next_line(from_ns, line), line)) if self._waits(line) else from_ns

    def before_ns(self, beat: float, line: Timeline) -> int:
        """In time for an answer that begins on a beat."""
        return line.time_ns(beat * TICKS_PER_BEAT) - self._lead_ns(line, BEAT_LEAD_NS)

    def turn(self, now: int, phrase: Phrase | None, ask: Ask, line: Timeline, times: float = 1.0) -> Turn:
        """About so many times as long as the phrase, in time up to a bar line, unless something else was asked for."""
        like = line.ticks(ask.like_ns) if ask.like_ns else phrase.length_ticks if phrase else 0
        longest = line.ticks(self._longest_ns)
        like = min(times * (like or line.ticks(UNKNOWN_LENGTH_NS)), longest)
        begin, length = self._begin(now, line), line.ticks(ask.length_ns) if ask.length_ns else like
        asked = ask.length_ns is not None or ask.notes is not None
        if self._live and line.metric and not asked:
            half_bar = line.bar_beats * TICKS_PER_BEAT / 2  # by which the bar line may lie beyond the length
            length = min(length, longest - half_bar)
            end_beat = line.bar_line_near(begin / TICKS_PER_BEAT, length / TICKS_PER_BEAT)
            return self._in_bars(begin, end_beat, phrase, line)
        return Turn(
            begin,
            begin + length,
            Manner.of(phrase),
            exact=ask.length_ns is not None,
            latest_ns=None if asked else self._latest_ns(begin, line),
            notes=ask.notes,
            grid=self._grid if line.metric else Grid(),
            ticks_per_s=line.ticks_per_s,
        )

    def bars(self, now: int, begin_beat: float, end_beat: float, phrase: Phrase, line: Timeline) -> Turn | None:
        """Between bar lines; where the first has gone by, from the next beat on. None: so has the second."""
        begin_beat = max(begin_beat, line.line_at_or_after(line.beat(now + self._lead_ns(line)), line.pulse_beats))
        return self._in_bars(begin_beat * TICKS_PER_BEAT, end_beat, phrase, line) if begin_beat < end_beat else None

    def _in_bars(self, begin: float, end_beat: float, phrase: Phrase | None, line: Timeline) -> Turn:
        """Up to a bar line, whose own tick is the next one's. Played loosely, it leans as the player does."""
        manner = Manner.of(phrase)
        return Turn(
            begin,
            end_beat * TICKS_PER_BEAT - 1,
            manner,
            exact=True,
            latest_ns=self._latest_ns(begin, line),
            grid=self._grid,
            lean_ticks=0.0 if self._grid.strength else manner.lean_ticks,
            ticks_per_s=line.ticks_per_s,
        )

    def _latest_ns(self, begin: float, line: Timeline) -> int:
        return line.time_ns(begin) + self._longest_ns

    def _waits(self, line: Timeline) -> bool:
        return line.metric and self._live and self._enter != "now"

    def _lead_ns(self, line: Timeline, lead_ns: int = LEAD_NS) -> int:
        """From the decision to the place of the first note, which may lean to the front by half a tick."""
        leans = line.metric and not self._grid.strength
        return lead_ns + self.latency_ns + leans * round(NS / line.ticks_per_s / 2) if self._live else 0

    def _next_line(self, now: int, line: Timeline) -> float:
        """The first beat or bar line that an answer can begin on that is decided now."""
        beats = line.bar_beats if self._enter == "bar" else line.pulse_beats
        return line.line_at_or_after(line.beat(now + self._lead_ns(line)), beats)

    def _begin(self, now: int, line: Timeline) -> float:
        if self._waits(line):
            return self._next_line(now, line) * TICKS_PER_BEAT
        position = line.position(now + self._lead_ns(line))
        return float(math.ceil(position - ROUNDING)) if line.metric else position
