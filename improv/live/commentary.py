"""A line about each turn: what was heard, and what was answered."""

from __future__ import annotations

from collections.abc import Callable

from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Step
from improv.music.events import NoteOff, NoteOn, TurnBegins
from improv.music.timeline import NS


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
        return f"{self.notes} notes in {length_s:.1f} s"


class Commentary:
    """Takes the records of a session as they come, on the engine's thread, and says a line when a turn is over."""

    def __init__(self, resting: Callable[[], bool], say: Callable[[str], None]) -> None:
        """`resting`: whether the engine has nothing to play."""
        self._resting, self._say = resting, say
        self._phrase = _Part()
        self._turn: tuple[_Part, _Part] | None = None  # the phrase, and the answer that is being played to it

    def take(self, record: Record) -> None:
        if isinstance(record, Step):
            if self._turn is not None and self._resting():
                self.end_turn()
            if isinstance(record.heard, NoteOn | NoteOff):
                self._phrase.add(record.heard)
        elif isinstance(record, Gave):
            if any(isinstance(event, TurnBegins) for event in record.played):
                self.end_turn()
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
            self._say(f"heard {phrase}, answered {answer}, sent at most {late_ms:.2f} ms late")
            self._turn = None
