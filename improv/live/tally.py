"""What happened in a session, and how late it was. Kept for as long as it lasts, in little room."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from improv.live.counted import counted
from improv.midi import wire
from improv.midi.frames import Sent
from improv.music.cue import LEAD_NS
from improv.music.events import Heard, Late, NoteOff, NoteOn, Pedal, Retime, TurnBegins
from improv.music.inferred import Onsets

FINENESS = 0.01  # a histogram's classes are so much wider than the one before
LEAST_NS = 1_000
FEW = 20  # fewer values have no last twentieth
LEAST_CONFIDENCE = 0.5  # a tempo that is less likely to be right is not shown
NOTICED_NS = 1_000_000  # a note that is sent later than this counts as late


class Histogram:
    """Times in classes of 1 %, from a microsecond on; those below count as that."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.most_ns = 0

    def add(self, time_ns: int) -> None:
        self._classes[int(math.log(max(time_ns, LEAST_NS) / LEAST_NS) / math.log1p(FINENESS))] += 1
        self.count += 1
        self.most_ns = max(self.most_ns, time_ns)

    def percentile_ms(self, share: float) -> float:
        """By nearest rank; NaN where there is nothing."""
        rank = _rank(share, self.count)
        for number, count in sorted(self._classes.items()):
            if rank < count:
                middle_ns = LEAST_NS * math.pow(1 + FINENESS, number + 0.5)
                return min(middle_ns, max(self.most_ns, LEAST_NS)) / 1e6
            rank -= count
        return math.nan

    def line(self) -> str:
        if self.count < FEW:
            return f"median {self.percentile_ms(0.5):.2f} ms, at most {self.most_ns / 1e6:.2f}"
        p50, p95, p99 = (self.percentile_ms(share) for share in (0.5, 0.95, 0.99))
        return f"{p50:.2f} ms p50, {p95:.2f} p95, {p99:.2f} p99, {self.most_ns / 1e6:.2f} max"


def percentile(values: Sequence[float], share: float) -> float:
    """By nearest rank; NaN where there are none."""
    return sorted(values)[_rank(share, len(values))] if values else math.nan


def _rank(share: float, count: int) -> int:
    """Of the smallest value that so large a share does not exceed, from 0."""
    return max(0, math.ceil(share * count) - 1)


class Tally:
    """For the lines at the end. Called on the engine's thread."""

    def __init__(self) -> None:
        self.heard = self.answered = 0
        self.lateness = Histogram()  # of what was planned ahead
        self.turnarounds = Histogram()  # last release to first note
        self.takeovers = Histogram()  # turn decided to first note
        self.steps = Histogram()  # of the engine
        self.sent_late = self.moved = self.thinned = self.ended = 0  # what was done about lateness
        self.skipped = 0  # values of controllers, for later ones took their place
        self.onsets = Onsets()
        self._free = True  # no beat is known but the player's own
        self._released_ns: int | None = None
        self._begun_ns: int | None = None  # when the turn was decided whose first note is still to come

    def hear(self, event: Heard) -> None:
        if isinstance(event, NoteOn):
            self.heard += 1
            if self._free:
                self.onsets.note(event.time_ns)
        if isinstance(event, NoteOn | NoteOff | Pedal):
            self._released_ns = event.time_ns
        elif isinstance(event, Late):
            self.moved += not event.ended
            self.ended += event.ended
            self.thinned += event.thinned

    def retime(self, retime: Retime) -> None:
        self._free = not retime.timeline.metric

    def begin_turn(self, turn: TurnBegins) -> None:
        self._begun_ns = turn.time_ns

    def send(self, sent: Sent) -> None:
        if not isinstance(wire.meaning(sent.message, sent.sent_ns), NoteOn):
            return
        self.answered += 1
        if self._begun_ns is None:
            late_ns = sent.sent_ns - sent.due_ns
            self.lateness.add(late_ns)
            self.sent_late += late_ns > NOTICED_NS
            return
        # Under a beat the answer was decided a while before it may begin: that wait is not its own.
        self.takeovers.add(sent.sent_ns - max(self._begun_ns, sent.due_ns - LEAD_NS))
        self._begun_ns = None
        if self._released_ns is not None:
            self.turnarounds.add(sent.sent_ns - self._released_ns)
            self._released_ns = None

    def lines(self) -> list[str]:
        """What happened, in words."""
        lines = [f"heard {counted(self.heard, 'note')}, answered with {self.answered}"]
        named = (
            ("took over in", self.takeovers),
            ("notes sent late by", self.lateness),
            ("a step of the engine took", self.steps),
        )
        lines += [f"{name} {times.line()}" for name, times in named if times.count]
        if self.turnarounds.count:
            lines.append(f"end of phrase to first note {self.turnarounds.percentile_ms(0.5) / 1e3:.2f} s")
        if late := self._late():
            lines.append(f"late: {', '.join(late)}")
        if self.skipped:
            lines.append(f"controllers moved faster than they are sent on: {counted(self.skipped, 'value')} skipped")
        if (tempo := self.onsets.tempo()) is not None and tempo.confidence >= LEAST_CONFIDENCE:
            lines.append(f"your own tempo: about {tempo.bpm:.0f} bpm (confidence {tempo.confidence:.0%})")
        return lines

    def _late(self) -> list[str]:
        """What was done about lateness."""
        thinned = f" ({counted(self.thinned, 'inner note')} left out)" if self.thinned else ""
        rungs = (
            (self.sent_late, f"{counted(self.sent_late, 'note')} sent all the same"),
            (self.moved, f"{counted(self.moved, 'time')} the rest moved{thinned}"),
            (self.ended, f"{counted(self.ended, 'answer')} ended"),
        )
        return [said for count, said in rungs if count]
