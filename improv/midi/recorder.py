"""Writes a session as a MIDI file of two tracks: the player and the improviser."""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from improv.errors import BadInput
from improv.midi import files, wire
from improv.midi.frames import Sent
from improv.midi.log import BadLog, Gave, Log, Record, Step, is_log
from improv.music.events import Ask, Heard, InputLost, NoteOff, NoteOn, Panic, Pedal, Retime
from improv.music.timeline import NS, ROUNDING, TICKS_PER_BEAT, Timeline

Note = NoteOn | NoteOff | Pedal
PLAYER_CHANNEL, IMPROVISER_CHANNEL = 1, 2
DRIFT_BEATS, DRIFT_BPM = 0.005, 0.1
FASTEST_BPM = 480.0  # of free time that is to end on a beat
MOST_NOTES = 1_000_000  # and their ends, in one file: a day of playing without a rest
MOST_TIMELINES = 200_000


class _Side:
    """What one side played, and what of it is still down."""

    def __init__(self) -> None:
        self.events: list[Note] = []
        self._keys: set[int] = set()
        self._pedal = False
        self._last_ns = -(1 << 62)  # before all that a log can tell

    def add(self, event: Note) -> None:
        """What is stamped earlier than what came before it counts as just after that: a note ends after it began."""
        self._last_ns = max(self._last_ns, event.time_ns)
        self.events.append(event._replace(time_ns=self._last_ns))
        if isinstance(event, Pedal):
            self._pedal = event.down
        else:
            (self._keys.add if isinstance(event, NoteOn) else self._keys.discard)(event.pitch)

    def lift(self, time_ns: int) -> None:
        """What is still down ends."""
        time_ns = max(time_ns, self._last_ns)
        self.events += [NoteOff(time_ns, pitch) for pitch in sorted(self._keys)]
        if self._pedal:
            self.events.append(Pedal(time_ns, False))
        self._keys.clear()
        self._pedal = False


class Recorder:
    """Remembers of the records of a session what was heard and what was really sent, until it is written."""

    def __init__(self) -> None:
        self._player, self._improviser = _Side(), _Side()
        self._lines: list[Timeline] = []  # each from its origin on

    def take(self, record: Record) -> None:
        if isinstance(record, Step):
            if record.heard is not None:
                self._hear(record.heard)
        elif isinstance(record, Sent):
            event = wire.meaning(record.message, record.sent_ns)
            if isinstance(event, NoteOn | NoteOff):
                self._improviser.add(event)
        elif isinstance(record, Gave):
            for played in record.played:
                if isinstance(played, Retime):
                    self._retime(played)

    @property
    def full(self) -> bool:
        """Whether it remembers more than one file is to hold."""
        notes = len(self._player.events) + len(self._improviser.events)
        return notes >= MOST_NOTES or len(self._lines) >= MOST_TIMELINES

    def _hear(self, event: Heard) -> None:
        if isinstance(event, NoteOn | Ask) and not self._lines:
            self._lines.append(Timeline(origin_ns=event.time_ns))
        if isinstance(event, InputLost | Panic):
            self._player.lift(event.time_ns)
        elif isinstance(event, NoteOn | NoteOff | Pedal):
            self._player.add(event)

    def _retime(self, retime: Retime) -> None:
        """From then on beats are counted so. What differs by less than is heard is not kept."""
        line, last = retime.timeline, self._lines[-1] if self._lines else None
        from_ns = retime.time_ns if last is None else max(retime.time_ns, last.origin_ns)
        if not line.metric:
            if last is not None and not last.metric:
                return
            line = Timeline(origin_ns=from_ns, origin_beat=(last or line).beat(from_ns))  # time is free
        line = line._replace(origin_ns=from_ns, origin_beat=line.beat(from_ns))
        if last is None or _differ(last, line):
            if last is not None and last.origin_ns == from_ns:
                self._lines.pop()
            self._lines.append(line)

    def parts(self) -> tuple[list[Note], list[Note]]:
        """Both parts, whole and in order; the first event of all, or the bar line before it, at 0."""
        last_ns = max((event.time_ns for event in self._events()), default=0)
        zero_ns = self.zero_ns()

        def moved(side: _Side) -> list[Note]:
            side.lift(last_ns)
            ordered = sorted(side.events, key=lambda event: event.time_ns)
            return [event._replace(time_ns=max(0, event.time_ns - zero_ns)) for event in ordered]

        return moved(self._player), moved(self._improviser)

    def write(self, path: Path) -> bool:
        """Gives False, and writes nothing, where nothing happened."""
        if not any(self._events()):
            return False
        player, improviser = self.parts()
        files.write(path, duet(player, improviser), self._timelines())
        return True

    def _events(self) -> Iterator[Note]:
        return chain(self._player.events, self._improviser.events)

    def zero_ns(self) -> int:
        """Which moment is the beginning of the file."""
        first_ns = self._first_ns()
        line = self._lines[self._number_at(first_ns)] if self._lines else None
        return line.next_bar_ns(first_ns, 0) if line is not None and line.metric else first_ns

    def _first_ns(self) -> int:
        """When the first note began."""
        onsets = [event.time_ns for event in self._events() if isinstance(event, NoteOn)]
        return min(onsets or [event.time_ns for event in self._events()], default=0)

    def _number_at(self, time_ns: int) -> int:
        """Of the timeline in force."""
        return max((n for n, line in enumerate(self._lines) if line.origin_ns <= time_ns), default=0)

    def _timelines(self) -> list[Timeline]:
        """As a file counts: from 0 ns and beat 0."""
        if not self._lines:
            return [Timeline()]
        zero_ns = self.zero_ns()
        first, *later = self._lines[self._number_at(self._first_ns()) :]
        first = first._replace(origin_ns=zero_ns, origin_beat=first.beat(zero_ns))
        lift = -first.origin_beat
        lines = [_counted(first, zero_ns, lift)]
        for line in later:
            if line.metric and not lines[-1].metric:  # free time ends on a beat, in the time it took
                lift = math.ceil(lines[-1].beat(line.origin_ns - zero_ns) - line.origin_beat - ROUNDING)
                lines[-1] = _reaching(lines[-1], _counted(line, zero_ns, lift))
            lines.append(_counted(line, zero_ns, lift))
        return _forwards(_in_bars(lines))


def _differ(last: Timeline, line: Timeline) -> bool:
    apart_beats = abs(last.beat(line.origin_ns) - line.origin_beat)
    same_bars = (last.metric, last.bar_beat, last.metre) == (line.metric, line.bar_beat, line.metre)
    return not same_bars or apart_beats > DRIFT_BEATS or abs(last.bpm - line.bpm) > DRIFT_BPM


def _counted(line: Timeline, zero_ns: int, lift: float) -> Timeline:
    """From another moment, and in other beats."""
    return line._replace(
        origin_ns=line.origin_ns - zero_ns, origin_beat=line.origin_beat + lift, bar_beat=line.bar_beat + lift
    )


def _reaching(free: Timeline, line: Timeline) -> Timeline:
    """Free time in a tempo that brings it to where the next timeline begins."""
    beats, took_ns = line.origin_beat - free.origin_beat, line.origin_ns - free.origin_ns
    return free._replace(bpm=min(FASTEST_BPM, max(free.bpm, beats * 60 * NS / took_ns)))


def _forwards(lines: Sequence[Timeline]) -> list[Timeline]:
    """The beats of a file never run backwards: where they would, the next timeline begins so much later."""
    found: list[Timeline] = []
    for line in lines:
        beat = max(line.origin_beat, found[-1].origin_beat) if found else line.origin_beat
        late = beat > line.origin_beat
        found.append(line._replace(origin_ns=line.time_ns(beat * TICKS_PER_BEAT), origin_beat=beat) if late else line)
    return found


def _in_bars(lines: Sequence[Timeline]) -> list[Timeline]:
    """A file has a new bar wherever it says that a timeline is metric: that is only said on a bar line."""
    found: list[Timeline] = []
    bars: Timeline | None = None
    ends_ns = [*(line.origin_ns for line in lines[1:]), math.inf]
    for line, end_ns in zip(lines, ends_ns, strict=True):
        if not line.metric or (bars is not None and _same_bars(bars, line)):
            found.append(line if bars is None else line._replace(bar_beat=bars.bar_beat))
            continue
        bar_beat = line.line_at_or_after(line.origin_beat, line.bar_beats)
        begins_ns = max(line.origin_ns, line.time_ns(bar_beat * TICKS_PER_BEAT))
        if begins_ns > line.origin_ns:
            found.append(line._replace(metric=False))
        if begins_ns < end_ns:
            bars = line._replace(origin_ns=begins_ns, origin_beat=bar_beat, bar_beat=bar_beat)
            found.append(bars)
    return found


def _same_bars(bars: Timeline, line: Timeline) -> bool:
    apart_bars = (line.bar_beat - bars.bar_beat) / bars.bar_beats
    return bars.metre == line.metre and abs(apart_bars - round(apart_bars)) < ROUNDING


def duet(player: list[Note], improviser: list[Note]) -> list[files.Part]:
    return [
        files.Part("player", PLAYER_CHANNEL, player),
        files.Part("improviser", IMPROVISER_CHANNEL, improviser),
    ]


def writable_folder(name: str) -> Path:
    """Make sure a folder is there and can be written to, before anything is played. Raises `BadInput`."""
    if not name:
        raise BadInput('--record "": it names no folder; this one is called "."')
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"`record` (--record) {folder}: the folder cannot be made ({error.strerror})") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"`record` (--record) {folder}: the folder cannot be written to")
    return folder


def session_path(folder: Path) -> Path:
    """Of a new log in the folder, named by date and time."""
    stem = datetime.datetime.now().strftime("improv-%Y%m%d-%H%M%S")
    names = (stem, *(f"{stem}-{n}" for n in range(2, 1000)))
    paths = (folder / f"{name}.log" for name in names)
    return next(path for path in paths if not any(map(_is_taken, (path, *map(path.with_suffix, (".mid", ".txt"))))))


def unfinished(folder: Path) -> list[Path]:
    """The logs in a folder, by whatever name, that no MIDI file was made of."""
    logs = (path for path in sorted(folder.glob("*.log")) if path.match("improv-*") or is_log(path))
    return [log for log in logs if not _is_taken(log.with_suffix(".mid"))]


def _is_taken(path: Path) -> bool:
    """Also by a link that leads nowhere: what is written there would be written elsewhere."""
    return os.path.lexists(path)


def recover(log: Path, midi: Path | None = None, progress: Callable[[float], None] = lambda share: None) -> Path | None:
    """Make the MIDI file of a log, beside it if nothing else is said; gives its path, None where nothing was played.

    `progress` is told how much of the log is read. Raises OSError, and `BadLog` where the log is damaged: what was
    played before that is in the file all the same.
    """
    midi = midi or log.with_suffix(".mid")
    recorder, damage = Recorder(), None
    try:
        source = Log(log)
        for record in source.records():
            recorder.take(record)
            progress(source.share)
            if recorder.full:
                raise BadLog(f"{log}: it is longer than a MIDI file is to be")
    except BadLog as error:
        damage = error
    written = recorder.write(midi)
    if damage is not None:
        raise BadLog(f"{damage}; what was played before is in {midi.name}") if written else damage
    return midi if written else None
