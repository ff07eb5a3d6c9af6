"""What the outlet is told, and what it reports, as values and as bytes of a fixed length."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from improv.music.events import Late, Retime
from improv.music.timeline import Timeline

PLAY, FORWARD, YIELD, LET_GO, BEAT, LEAVE, TURN, RETIME, LATENCY, PANIC, REVISE = range(11)
_FRAME = struct.Struct("<qBB36s")  # due or stamp in ns, command, length, message
_LINE = struct.Struct("<dqddBB??")  # a timeline: tempo, origin in ns and in beats, bar, metre, metric; and a jump
# Sent: due, sent, -, -, -, length, message; Late: time, turn, late, shift, thinned, ended, -; Skipped: values;
# Forgot and Alive: nothing
_REPORT = struct.Struct("<BqqqqHB3s")
_SENT, _LATE, _SKIPPED, _FORGOT, _ALIVE = range(5)


class Frame(NamedTuple):
    time_ns: int
    command: int
    message: bytes = b""


def retime_frame(retime: Retime) -> Frame:
    line = retime.timeline
    packed = _LINE.pack(
        line.bpm, line.origin_ns, line.origin_beat, line.bar_beat, *line.metre, line.metric, retime.jump
    )
    return Frame(retime.time_ns, RETIME, packed)


def retime_of(frame: Frame) -> Retime:
    bpm, origin_ns, origin_beat, bar_beat, beats, unit, metric, jump = _LINE.unpack(frame.message)
    return Retime(frame.time_ns, Timeline(bpm, origin_ns, origin_beat, metric, bar_beat, (beats, unit)), jump)


class Sent(NamedTuple):
    """One of the machine's events as it really went out."""

    due_ns: int
    sent_ns: int
    message: bytes


class Skipped(NamedTuple):
    """Values of controllers were not sent, for later ones took their place: told at the first one, and at the end."""

    values: int


class Forgot(NamedTuple):
    """No heartbeat was seen: all is released, and whatever it was told is forgotten."""


class Alive(NamedTuple):
    """The answer to a heartbeat."""


Report = Sent | Late | Skipped | Forgot


def pack_frame(frame: Frame) -> bytes:
    return _FRAME.pack(frame.time_ns, frame.command, len(frame.message), frame.message)


def frames(stream: IO[bytes]) -> Iterator[Frame]:
    """What `pack_frame` packed, from an unbuffered pipe, until it closes."""
    for time_ns, command, length, message in _unpacked(stream, _FRAME):
        yield Frame(time_ns, command, message[:length])


def pack_report(report: Report | Alive) -> bytes:
    if isinstance(report, Sent):
        return _REPORT.pack(_SENT, report.due_ns, report.sent_ns, 0, 0, 0, len(report.message), report.message)
    if isinstance(report, Skipped):
        return _REPORT.pack(_SKIPPED, report.values, 0, 0, 0, 0, 0, b"")
    if isinstance(report, Forgot | Alive):
        return _REPORT.pack(_FORGOT if isinstance(report, Forgot) else _ALIVE, 0, 0, 0, 0, 0, 0, b"")
    return _REPORT.pack(_LATE, *report, b"")


def reports(stream: IO[bytes]) -> Iterator[Report | Alive]:
    """What `pack_report` packed, from an unbuffered pipe, until it closes."""
    for kind, time_ns, other_ns, late_ns, shift_ns, thinned, number, data in _unpacked(stream, _REPORT):
        if kind == _SENT:
            yield Sent(time_ns, other_ns, data[:number])
        elif kind == _SKIPPED:
            yield Skipped(time_ns)
        elif kind == _FORGOT:
            yield Forgot()
        elif kind == _ALIVE:
            yield Alive()
        else:
            yield Late(time_ns, other_ns, late_ns, shift_ns, thinned, bool(number))


def _unpacked(stream: IO[bytes], form: struct.Struct) -> Iterator[tuple[Any, ...]]:
    data = b""
    while piece := stream.read(form.size * 64 - len(data)):
        data += piece
        whole = len(data) // form.size * form.size
        yield from form.iter_unpack(data[:whole])
        data = data[whole:]
