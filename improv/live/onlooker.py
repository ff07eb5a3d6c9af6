"""Watches a session and gives snapshots of it, at most fifteen a second. Called on the engine's thread."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from improv.engine import Engine
from improv.live.snapshot import EVERY_NS, IMPROV, YOU, Knob, Said, Snapshot, Stroke, Timing, pack
from improv.live.tally import LEAST_CONFIDENCE, Histogram, Tally
from improv.midi import wire
from improv.midi.frames import Sent
from improv.midi.log import Gave, Record, Silence, Step
from improv.music.events import Heard, InputLost, NoteOff, NoteOn, Panic, Played, Retime, Revise, Yield
from improv.music.steering import Steering, Value, share
from improv.music.timeline import NS, Timeline

T = TypeVar("T")
FIGURES_EVERY_NS = NS  # so often percentiles and tempo are worked out, which takes a third of a millisecond
SEEN_NS = 10 * NS  # notes that ended longer ago are out of sight
MOST_STROKES = 256  # of each part, so that a flood stays small
YOURS_NS = 2 * NS  # after a note of the player's the turn is his for so long, if nothing is answered
OVERDUE_NS = NS  # what was planned and not sent by then was left out


class _Part:
    """The notes of one side: those that ended, and those that sound."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._ended: deque[Stroke] = deque(maxlen=MOST_STROKES)
        self.sounding: dict[int, int] = {}  # since when, by pitch

    def begin(self, pitch: int, time_ns: int) -> None:
        self.end(pitch, time_ns)
        self.sounding[pitch] = time_ns

    def end(self, pitch: int, time_ns: int) -> None:
        if (on_ns := self.sounding.pop(pitch, None)) is not None:
            self._ended.append(Stroke(self._number, pitch, on_ns, time_ns))

    def end_all(self, time_ns: int) -> None:
        for pitch in list(self.sounding):
            self.end(pitch, time_ns)

    def strokes(self, now_ns: int) -> Iterable[Stroke]:
        while self._ended and (self._ended[0].off_ns or 0) < now_ns - SEEN_NS:
            self._ended.popleft()
        yield from self._ended
        for pitch, on_ns in self.sounding.items():
            yield Stroke(self._number, pitch, on_ns, None)


class _Plan:
    """What the machine is about to play."""

    def __init__(self) -> None:
        self._notes: deque[Stroke] = deque(maxlen=MOST_STROKES)

    def add(self, event: NoteOn | NoteOff) -> None:
        if isinstance(event, NoteOn):
            self._notes.append(Stroke(IMPROV, event.pitch, event.time_ns, None, planned=True))
            return
        for at, note in enumerate(self._notes):
            if note.pitch == event.pitch and note.off_ns is None:
                self._notes[at] = note._replace(off_ns=event.time_ns)
                return

    def sent(self, pitch: int) -> None:
        for at, note in enumerate(self._notes):
            if note.pitch == pitch:
                del self._notes[at]
                return

    def drop(self, from_ns: int = 0) -> None:
        """What was to begin later, or all of it."""
        self._notes = deque((note for note in self._notes if note.on_ns <= from_ns), maxlen=MOST_STROKES)

    def strokes(self, now_ns: int) -> Iterable[Stroke]:
        while self._notes and self._notes[0].on_ns < now_ns - OVERDUE_NS:
            self._notes.popleft()
        return self._notes


class _State(NamedTuple):
    """How things stand, apart from notes and figures."""

    parts: tuple[int, ...] = ()
    mode: str = ""
    states: tuple[str, ...] = ()
    steering: Steering = Steering()
    said: tuple[Said, ...] = ()


class Onlooker:
    """Takes the records of a session as they come, and puts what is to be seen of it when it is asked to."""

    def __init__(
        self,
        engine: Engine,
        tally: Callable[[], Tally],
        said: Callable[[], tuple[Said, ...]],
        put: Callable[[bytes], bool],
    ) -> None:
        """`put` takes a packed snapshot, or says that it cannot."""
        self._engine, self._tally, self._said, self._put = engine, tally, said, put
        self._you, self._improv, self._plan = _Part(YOU), _Part(IMPROV), _Plan()
        self._line: Timeline | None = None
        self._heard_ns = -YOURS_NS  # the player's last note
        self._state = _State()
        self._timing = Timing()
        self._guess: tuple[float, float] | None = None
        self._news = True
        self._next_ns = self._figures_ns = 0

    def take(self, record: Record) -> None:
        if isinstance(record, Step):
            self._hear(record.heard)
        elif isinstance(record, Gave):
            for event in record.played:
                self._give(event)
        elif isinstance(record, Sent):
            self._sent(record)
        elif isinstance(record, Silence):
            self._fall_silent(record.now_ns)

    def show(self, now_ns: int) -> int | None:
        """Put a snapshot if there is news, and time for it; gives when to ask again, if there is more to show."""
        self._look(now_ns)
        if self._news and now_ns >= self._next_ns:
            self._news = not self._put(pack(self._snapshot(now_ns)))
            self._next_ns = now_ns + EVERY_NS
        return self._next_ns if self._news else None

    def _snapshot(self, now_ns: int) -> Snapshot:
        parts, mode, states, steering, said = self._state
        notes = (self._you, self._improv, self._plan)
        strokes = tuple(stroke for part in notes for stroke in part.strokes(now_ns))
        knobs = tuple(_knob(name, value) for name, value in vars(steering).items())
        return Snapshot(now_ns, parts, strokes, self._line, self._guess, mode, states, knobs, self._timing, said)

    # What happens

    def _hear(self, event: Heard | None) -> None:
        match event:
            case None:
                return
            case NoteOn(time_ns, pitch):
                self._you.begin(pitch, time_ns)
                self._heard_ns = time_ns
            case NoteOff(time_ns, pitch):
                self._you.end(pitch, time_ns)
            case InputLost(time_ns):
                self._you.end_all(time_ns)
            case Panic(time_ns):
                self._you.end_all(time_ns)
                self._fall_silent(time_ns)
        self._news = True

    def _give(self, event: Played) -> None:
        if isinstance(event, NoteOn | NoteOff):
            self._plan.add(event)
        elif isinstance(event, Yield):
            self._plan.drop()
        elif isinstance(event, Revise):
            self._plan.drop(event.time_ns)
        elif isinstance(event, Retime):
            self._line = event.timeline if event.timeline.metric else None
        self._news = True

    def _sent(self, sent: Sent) -> None:
        event = wire.meaning(sent.message, sent.sent_ns)
        if isinstance(event, NoteOn):
            self._plan.sent(event.pitch)
            self._improv.begin(event.pitch, event.time_ns)
        elif isinstance(event, NoteOff):
            self._improv.end(event.pitch, event.time_ns)
        self._news = True

    def _fall_silent(self, now_ns: int) -> None:
        self._plan.drop()
        self._improv.end_all(now_ns)
        self._news = True

    # What changes by itself, or elsewhere

    def _look(self, now_ns: int) -> None:
        if now_ns >= self._figures_ns:
            self._figures_ns = now_ns + FIGURES_EVERY_NS
            self._measure()
        engine = self._engine
        if engine.playing and IMPROV not in self._state.parts:  # the turn goes over
            self._heard_ns = now_ns - YOURS_NS
        yours = bool(self._you.sounding) or now_ns - self._heard_ns < YOURS_NS
        parts = ((YOU, yours), (IMPROV, engine.playing))
        states = (("muted", engine.muted), ("loop", engine.looping), ("frozen", engine.freezing))
        state = _State(_those(parts), engine.mode, _those(states), engine.steering, self._said())
        if state != self._state:
            self._state, self._news = state, True

    def _measure(self) -> None:
        tally = self._tally()
        tempo = tally.onsets.tempo() if self._line is None else None
        guess = None if tempo is None or tempo.confidence < LEAST_CONFIDENCE else (tempo.bpm, tempo.confidence)
        figures = Timing(_p99(tally.lateness), _p99(tally.steps)), guess
        if figures != (self._timing, self._guess):
            self._timing, self._guess = figures
            self._news = True


def _those(named: Iterable[tuple[T, bool]]) -> tuple[T, ...]:
    """Of which it is so."""
    return tuple(name for name, so in named if so)


def _p99(times: Histogram) -> float | None:
    p99_ms = times.percentile_ms(0.99)
    return None if math.isnan(p99_ms) else round(p99_ms, 2)


def _knob(name: str, value: Value) -> Knob:
    return Knob(name, value, share(name, value) if isinstance(value, float) else None)
