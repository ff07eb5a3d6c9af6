"""A line about each turn, what was heard and what was answered, and one where the beat begins, ends or changes, or
something is marked.
"""

from __future__ import annotations

from collections.abc import Callable

from improv.live.counted import counted
from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Step
from improv.music.events import Heard, Mark, NoteOff, NoteOn, Played, Retime, Tap, TurnBegins
from improv.music.timeline import NS, Timeline

NEW_TEMPO = 0.01  # a smaller share of the tempo is not worth a line


class _Part:
    """How much one side has played of a turn."""

    def __init__(self) -> None:
        self.notes = 0
        self._begin_ns: int | None = None
        self._end_ns = 0
        self.late_ns = 0  # the most

    def add(self, event: NoteOn | NoteOff, late_ns: int = 0) -> None:
        if isinstance(event, NoteOn):
            self.notes += 1
            self.late_ns = max(self.late_ns, late_ns)
            if self._begin_ns is None:
                self._begin_ns = event.time_ns
        self._end_ns = event.time_ns

    def __str__(self) -> str:
        length_s = 0.0 if self._begin_ns is None else (self._end_ns - self._begin_ns) / NS
        return f"{counted(self.notes, 'note')} in {length_s:.1f} s"


class _Beat:
    """Whether a beat is there, and how fast it is. A master that slowly changes its tempo is told of turn by turn."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._bpm: float | None = None  # while it runs
        self._said_bpm = 0.0

    def take(self, given: Played, cause: Heard | None) -> None:
        """What the engine gave at that event, or at none."""
        if isinstance(given, Retime):
            self._retime(given.timeline, given.jump, isinstance(cause, Tap))
        elif isinstance(given, TurnBegins) and self._bpm is not None and self._is_new(self._bpm):
            self._tell("the clock runs", self._bpm)

    def _retime(self, line: Timeline, jump: bool, tapped: bool) -> None:
        ran = self._bpm is not None
        self._bpm = line.bpm if line.metric else None
        if ran and not line.metric:
            self._say("the clock stands")
        elif line.metric and (not ran or ((jump or tapped) and self._is_new(line.bpm))):
            self._tell("tapped" if tapped else "the clock runs", line.bpm)

    def _is_new(self, bpm: float) -> bool:
        return abs(bpm - self._said_bpm) > NEW_TEMPO * self._said_bpm

    def _tell(self, what: str, bpm: float) -> None:
        self._say(f"{what}: {bpm:.1f} bpm")
        self._said_bpm = bpm


class Commentary:
    """Takes the records of a session as they come, on the engine's thread, and says the lines."""

    def __init__(self, resting: Callable[[], bool], say: Callable[[str], None]) -> None:
        """`resting`: whether the engine has nothing to play."""
        self._resting, self._say = resting, say
        self._beat = _Beat(say)
        self._heard: Heard | None = None  # by the last call of the engine
        self._phrase = _Part()
        self._turn: tuple[_Part, _Part] | None = None  # the phrase, and the answer that is being played to it
        self._answered = False  # ever

    def take(self, record: Record) -> None:
        if isinstance(record, Step):
            self._heard = record.heard
            if self._turn is not None and self._resting():
                self.end_turn()
            if isinstance(record.heard, NoteOn | NoteOff):
                self._phrase.add(record.heard)
            elif isinstance(record.heard, Mark) and self._answered:
                self._say(f"the last exchange was {'good' if record.heard.good else 'bad'}")
        elif isinstance(record, Gave):
            for given in record.played:
                self._beat.take(given, self._heard)
            if any(isinstance(event, TurnBegins) for event in record.played):
                self.end_turn()
                self._answered = True
                self._turn, self._phrase = (self._phrase, _Part()), _Part()
        elif isinstance(record, Sent) and self._turn is not None:
            event = wire.meaning(record.message, record.sent_ns)
            if isinstance(event, NoteOn | NoteOff):
                self._turn[1].add(event, record.sent_ns - record.due_ns)

    def end_turn(self) -> None:
        """Say the line, if an answer has begun."""
        if self._turn is not None:
            phrase, answer = self._turn
            late_ms = answer.late_ns / 1e6
            heard = f"heard {phrase}, answered" if phrase.notes else "played"  # another take, or a loop
            self._say(f"{heard} {answer}, sent at most {late_ms:.2f} ms late")
            self._turn = None
