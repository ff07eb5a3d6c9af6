"""A line about each turn, what was heard and what was answered, and one where the beat begins, ends or changes,
something is marked, or something is switched on or off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from improv.engine import Engine
from improv.live import switches
from improv.live.counted import counted
from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Step
from improv.music.events import Heard, Mark, NoteOff, NoteOn, Played, Retime, Tap, TurnBegins
from improv.music.hands import NO_PRESETS, Turn, in_force
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


class _Switches:
    """What was on when it was last said."""

    def __init__(self, engine: Engine, say: Callable[[str], None], presets: Mapping[str, Sequence[Turn]]) -> None:
        self._engine, self._say, self._presets = engine, say, presets
        self._at_ns: int | None = None  # of what was heard last
        self._on = self._look()

    def take(self, step: Step) -> None:
        """The engine is about to take it. All that one press turns has one time, and is said together."""
        at_ns = None if step.heard is None else step.heard.time_ns
        if at_ns is None or at_ns != self._at_ns:
            now_on = self._look()
            for what in sorted(self._on - now_on):
                if not what.startswith("mode "):  # another one is on
                    self._say(f"{what} is off")
            for what in sorted(now_on - self._on):
                self._say(f"{what} is on")
            self._on = now_on
        self._at_ns = at_ns

    def _look(self) -> set[str]:
        on, steering = switches.on(self._engine), self._engine.steering
        presets = {f"preset {name}" for name, turns in self._presets.items() if in_force(turns, on, steering)}
        return {what.replace("_", " ") for what in on - {"turn"}} | presets


class _Turn(NamedTuple):
    """What the machine plays, to what was heard before; beside what, where it is in a duet or goes on by itself."""

    heard: _Part
    played: _Part
    beside: _Part | None = None

    def __str__(self) -> str:
        late = f"sent at most {self.played.late_ns / 1e6:.2f} ms late"
        if self.beside is not None:
            heard = f"heard {self.heard}, " if self.heard.notes else ""
            beside = f" beside your {self.beside.notes}" if self.beside.notes else ""
            return f"{heard}played {self.played}{beside}, {late}"
        heard = f"heard {self.heard}, answered" if self.heard.notes else "played"  # another take, or a loop
        return f"{heard} {self.played}, {late}"


class Commentary:
    """Takes the records of a session as they come, on the engine's thread, and says the lines."""

    def __init__(
        self, engine: Engine, say: Callable[[str], None], presets: Mapping[str, Sequence[Turn]] = NO_PRESETS
    ) -> None:
        """`presets`: what each one on a control turns."""
        self._engine, self._say = engine, say
        self._beat, self._switches = _Beat(say), _Switches(engine, say, presets)
        self._heard: Heard | None = None  # by the last call of the engine
        self._phrase = _Part()
        self._turn: _Turn | None = None  # the one that is being played

    def take(self, record: Record) -> None:
        if isinstance(record, Step):
            self._heard = record.heard
            self._switches.take(record)
            if self._turn is not None and self._engine.resting:
                self.end_turn()
            self._hear(record.heard)
        elif isinstance(record, Gave):
            for given in record.played:
                self._beat.take(given, self._heard)
                if isinstance(given, TurnBegins):
                    self._begin_turn(given.beside)
        elif isinstance(record, Sent) and self._turn is not None:
            event = wire.meaning(record.message, record.sent_ns)
            if isinstance(event, NoteOn | NoteOff):
                self._turn.played.add(event, record.sent_ns - record.due_ns)

    def _hear(self, event: Heard | None) -> None:
        """What the engine is about to hear; None: something was due."""
        if isinstance(event, Mark) and self._engine.exchanged:
            self._say(f"the last exchange was {'good' if event.good else 'bad'}")
        beside = None if self._turn is None else self._turn.beside
        if beside is None and self._is_over(event):
            self._phrase = _Part()
        if isinstance(event, NoteOn | NoteOff):
            (self._phrase if beside is None else beside).add(event)

    def _is_over(self, event: Heard | None) -> bool:
        """Whether the phrase that was heard is over, and nothing will be played to it, or the next one begins."""
        return not self._engine.in_phrase and (isinstance(event, NoteOn) or not self._engine.playing)

    def _begin_turn(self, beside: bool) -> None:
        self.end_turn()
        phrase, self._phrase = self._phrase, _Part()
        if beside and self._engine.in_phrase:  # it joins him
            self._turn = _Turn(_Part(), _Part(), phrase)
        else:
            self._turn = _Turn(phrase, _Part(), _Part() if beside else None)

    def end_turn(self) -> None:
        """Say the line, if an answer has begun."""
        if self._turn is not None:
            self._say(str(self._turn))
            self._turn = None
