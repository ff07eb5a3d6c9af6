"""The log of a session: every call of the engine, what it gave, and what was really sent.

Text, one JSON value a line. The first is a header, an object; each one after it is an array:

    [5000, 6000]                           the engine was stepped at these times, and nothing was heard
    [5000, "on", 4990, 60, 90]             it was stepped with an event: its name, then its fields
    ["silence", 5000]                      it was told to fall silent
    ["gave", ["on", 9000, 64, 80], ...]    what that call gave to play
    ["sent", 9000, 9012, 145, 64, 80]      a message of the machine's: when it was due, when it went out, its bytes

Times are nanoseconds of one monotonic clock. Only the last line can have been cut short, by a kill.
"""

from __future__ import annotations

import json
import stat
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count, groupby, islice
from pathlib import Path
from typing import Any, NamedTuple

from improv.errors import BadInput
from improv.midi import wire
from improv.midi.frames import Sent
from improv.music import events, steering
from improv.music.events import Heard, Played, Retime, Steer
from improv.music.timeline import NS, Timeline
from improv.music.turns import MODES

FORMAT = 3
MAX_BYTES = 256 * 1024**2  # a day of playing without a rest
MAX_LINE = 64 * 1024
LONGEST_NS = 365 * 24 * 3600 * NS
RUN = 1000  # steps with nothing heard, at most, in one line


class BadLog(BadInput):
    """A log that cannot be read; the message names it, and the line."""


class Step(NamedTuple):
    """The engine was called, with what was heard if anything was."""

    now_ns: int
    heard: Heard | None = None


class Silence(NamedTuple):
    """The engine was told to fall silent."""

    now_ns: int


class Gave(NamedTuple):
    """What the last call gave, where it gave something."""

    played: tuple[Played, ...]


Record = Step | Silence | Gave | Sent


class Header(NamedTuple):
    """What a session was played with."""

    improv: str  # the version
    date: str
    weights: str
    fingerprint: str  # of their alphabet
    graphs: Mapping[str, str]  # SHA-256 of each
    settings: Mapping[str, Any]  # all that were in force, the random seed among them
    memory: str = ""  # what it began with (`net.memory.spelled`)


KINDS: dict[str, Any] = {
    "on": events.NoteOn,
    "off": events.NoteOff,
    "pedal": events.Pedal,
    "ask": events.Ask,
    "retime": events.Retime,
    "tick": events.Tick,
    "start": events.Start,
    "stop": events.Stop,
    "continue": events.Continue,
    "position": events.SongPosition,
    "tap": events.Tap,
    "transport": events.Transport,
    "offset": events.ClockOffset,
    "latency": events.OutLatency,
    "steer": events.Steer,
    "mode": events.SetMode,
    "halt": events.Halt,
    "mute": events.Mute,
    "mark": events.Mark,
    "another": events.AnotherTake,
    "loop": events.LoopThat,
    "vary": events.VaryThat,
    "undo": events.Undo,
    "forget": events.ForgetMe,
    "freeze": events.Freeze,
    "late": events.Late,
    "freewheel": events.FreeWheel,
    "lost": events.InputLost,
    "panic": events.Panic,
    "yield": events.Yield,
    "turn": events.TurnBegins,
    "revise": events.Revise,
}
_BEGINNING = b'{"improv-log": '
_NAMES = {kind: name for name, kind in KINDS.items()}


# Writing


def header_line(header: Header) -> str:
    return json.dumps({"improv-log": FORMAT, **header._asdict()}) + "\n"


def lines(records: Iterable[Record]) -> Iterator[str]:
    """Those of steps with nothing heard, which are many, share one."""
    for bare, group in groupby(records, is_bare):
        if bare:
            while run := [record.now_ns for record in islice(group, RUN)]:  # type: ignore[union-attr]
                yield _line(run)
        else:
            yield from (_line(_values(record)) for record in group)


def is_bare(record: Record) -> bool:
    """A step with nothing heard."""
    return isinstance(record, Step) and record.heard is None


def _values(record: Record) -> list[object]:
    if isinstance(record, Gave):
        return ["gave", *map(_spelled, record.played)]
    if isinstance(record, Silence):
        return ["silence", record.now_ns]
    if isinstance(record, Sent):
        return ["sent", record.due_ns, record.sent_ns, *record.message]
    assert record.heard is not None
    return [record.now_ns, *_spelled(record.heard)]


def _spelled(event: Heard | Played) -> list[object]:
    return [_NAMES[type(event)], *event]


def _line(values: list[Any]) -> str:
    return json.dumps(values, separators=(",", ":")) + "\n"


# Reading: whatever stands in a file, only good values come out of here

_NUMBERS = {  # the least and the most of each, by the name of the field
    "pitch": (0, 127),
    "velocity": (1, 127),
    "sixteenths": (0, 0x3FFF),
    "bpm": (1, 2000),
    "origin_beat": (-1e9, 1e9),
    "bar_beat": (-1e9, 1e9),
}
_ANY = (-(1 << 62), 1 << 62)
_HEARD, _PLAYED = typing.get_args(Heard), typing.get_args(Played)
_BEATS, _UNITS = range(1, 33), (1, 2, 4, 8, 16, 32)  # of a metre
_DAMAGE = (ValueError, TypeError, KeyError, IndexError, RecursionError)


def is_log(path: Path) -> bool:
    """Whether a file begins as a log does, of whatever version. One that cannot be read does not."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return file.read(len(_BEGINNING)) == _BEGINNING
    except OSError:
        return False


class Log:
    """A log on the disk, of which `share` is read. Raises `BadLog`."""

    def __init__(self, path: Path) -> None:
        self._path, self.share = path, 0.0
        try:
            about = path.stat()
            if not stat.S_ISREG(about.st_mode):
                raise BadLog(f"{path}: it is no ordinary file; name a log")
            if about.st_size > MAX_BYTES:
                raise BadLog(f"{path}: it is larger than {MAX_BYTES // 1024**2} MB, which no log is")
            self._size = max(1, about.st_size)
            with path.open("rb") as file:
                self.header = self._read_header(file.readline(MAX_LINE))
        except OSError as error:
            raise BadLog(f"{path}: it cannot be read ({error.strerror})") from None

    def _read_header(self, line: bytes) -> Header:
        try:
            values = json.loads(line)
            version = values["improv-log"]
            if version == FORMAT:
                header = Header(**{name: values[name] for name in Header._fields})
        except _DAMAGE:
            raise BadLog(f"{self._path}: it is no log of improv, or was cut short at its very beginning") from None
        if version != FORMAT:
            raise BadLog(f"{self._path}: another version of improv wrote it; read it with that one")
        kinds = [type(value) for value in header]
        if kinds != [str, str, str, str, dict, dict, str] or not "".join(header[:4]).isprintable():
            raise BadLog(f"{self._path}: line 1 is damaged")
        return header

    def records(self) -> Iterator[Record]:
        """All of them, but for a last line that is cut short."""
        with self._path.open("rb") as file:
            file.readline(MAX_LINE)
            times = _Times()
            for number in count(2):
                line = file.readline(MAX_LINE)
                if not line:
                    return
                self.share = file.tell() / self._size
                try:
                    found = list(map(times.checked, _records(json.loads(line))))
                except _DAMAGE:
                    if not file.read(1):
                        return
                    raise BadLog(f"{self._path}: line {number} is damaged") from None
                yield from found


class _Times:
    """The engine's never run backwards, and all lie within what a session can last."""

    def __init__(self) -> None:
        self._first_ns: int | None = None
        self._last_ns = 0

    def checked(self, record: Record) -> Record:
        if isinstance(record, Step | Silence):
            if self._first_ns is None:
                self._first_ns = self._last_ns = record.now_ns
            if record.now_ns < self._last_ns:
                raise ValueError("time runs backwards")
            self._last_ns = record.now_ns
        first_ns = self._first_ns
        if first_ns is None or any(abs(time_ns - first_ns) > LONGEST_NS for time_ns in _times_ns(record)):
            raise ValueError("not within the session")
        return record


def _times_ns(record: Record) -> list[int]:
    if isinstance(record, Sent):
        return [record.due_ns, record.sent_ns]
    if isinstance(record, Gave):
        return [time_ns for event in record.played for time_ns in _event_times_ns(event)]
    return [record.now_ns, *(_event_times_ns(record.heard) if isinstance(record, Step) and record.heard else ())]


def _event_times_ns(event: Heard | Played) -> list[int]:
    return [event.time_ns, event.timeline.origin_ns] if isinstance(event, Retime) else [event.time_ns]


def _records(values: Any) -> list[Record]:
    """What a line says."""
    head, *rest = values
    if head == "gave":
        return [Gave(tuple(_event(spelled, _PLAYED) for spelled in rest))]
    if head == "silence":
        (now_ns,) = rest
        return [Silence(_time_ns(now_ns))]
    if head == "sent":
        due_ns, sent_ns, *message = rest
        if not wire.is_channel_message(bytes(message)):
            raise ValueError("no message")
        return [Sent(_time_ns(due_ns), _time_ns(sent_ns), bytes(message))]
    if rest and isinstance(rest[0], str):
        return [Step(_time_ns(head), _event(rest, _HEARD))]
    return [Step(_time_ns(now_ns)) for now_ns in values]


def _event(spelled: Any, allowed: Collection[type]) -> Any:
    name, *values = spelled
    kind = KINDS[name]
    if kind not in allowed:
        raise ValueError(name)
    event = _built(kind, values)
    if isinstance(event, Steer):
        steering.checked(event.knob, event.value)
    return event


def _built(kind: Any, values: Iterable[Any]) -> Any:
    """A NamedTuple of good values."""
    return kind(*(read(value) for read, value in zip(_READERS[kind], values, strict=True)))


def _reader(field: str, hint: Any) -> Callable[[Any], Any]:
    """What checks a field."""
    if hint is Timeline:
        return lambda values: _built(Timeline, values)
    if field == "metre":
        return _metre
    if field == "mode":
        return _mode
    kinds = typing.get_args(hint) or (hint,)
    if float in kinds:
        kinds = (*kinds, int)
    low, high = _NUMBERS.get(field, _ANY)

    def read(value: Any) -> Any:
        if type(value) not in kinds or (isinstance(value, int | float) and not low <= value <= high):
            raise ValueError(field)
        return value

    return read


def _metre(values: Any) -> tuple[int, int]:
    beats, unit = values
    if beats not in _BEATS or unit not in _UNITS:
        raise ValueError("metre")
    return int(beats), int(unit)


def _mode(name: Any) -> str:
    if type(name) is not str or name not in MODES:
        raise ValueError("mode")
    return name


_READERS = {
    kind: [_reader(field, hint) for field, hint in typing.get_type_hints(kind).items()]
    for kind in (*KINDS.values(), Timeline)
}
_time_ns = _reader("time_ns", int)
