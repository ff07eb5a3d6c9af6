"""The messages of a Standard MIDI File, read from its bytes. What they mean is said in `midi/files`.

Strict: of a damaged file no note is guessed. Whatever the bytes are, it takes a time and a memory in proportion.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from improv.midi.wire import PRESSURE, PROGRAM
from improv.music.schedule import CONTROL, NOTE_OFF, NOTE_ON

MAX_BYTES = 4 * 1024 * 1024  # an hour of dense piano is under 2
LONGEST_WAIT = 0x0FFFFFFF  # ticks between two events, by the standard

HEADER = struct.Struct(">3H")  # format, tracks, ticks a beat
CHUNK = struct.Struct(">4sL")
SYSEX, SYSEX_END, META = 0xF0, 0xF7, 0xFF
# Messages that are not for files, yet found in some: how many bytes follow.
LIVE = {0xF1: 1, 0xF2: 2, 0xF3: 1, 0xF6: 0, 0xF8: 0, 0xFA: 0, 0xFB: 0, 0xFC: 0, 0xFE: 0}
PREFIX, TEMPO, SMPTE, METRE, KEY = 0x20, 0x51, 0x54, 0x58, 0x59
LENGTHS = {PREFIX: 1, TEMPO: 3, SMPTE: 5, METRE: 4, KEY: 2}  # of meta messages, by type: no fewer bytes than these

# A message as it stands in a file: tick, type, channel and two numbers. Those of a tempo are microseconds a beat
# and 0, those of a time signature are as written.
Message = tuple[int, str, int, int, int]


class BadMidi(ValueError):
    """The file cannot be heard; the message says why, and `kind` which kind of trouble that is, for a count."""

    def __init__(self, why: str = "it is truncated or damaged", kind: str = "damaged") -> None:
        super().__init__(why)
        self.kind = kind


def messages(data: bytes) -> tuple[int, list[Iterator[Message]]]:
    """Ticks a beat, and the messages of each track. Raises `BadMidi`, also while they are read."""
    if not data:
        raise BadMidi("it is empty")
    if len(data) > MAX_BYTES:
        raise BadMidi(f"it is larger than {MAX_BYTES // 1024**2} MB", "too large")
    if not data.startswith(b"MThd"):
        raise BadMidi("it is not a MIDI file")
    try:
        _, length = CHUNK.unpack_from(data)
        _, count, ppqn = HEADER.unpack_from(data, CHUNK.size)
        tracks = list(_tracks(data, CHUNK.size + length, count))
    except struct.error:
        raise BadMidi from None
    if length < HEADER.size:
        raise BadMidi
    if not 0 < ppqn < 0x8000:
        raise BadMidi("its time division is not in ticks per beat", "no beats")
    return ppqn, tracks


def _tracks(data: bytes, at: int, count: int) -> Iterator[Iterator[Message]]:
    for _ in range(count):
        name, length = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if name != b"MTrk" or at + length > len(data):
            raise BadMidi
        yield _read(data, at, at + length)
        at += length


def _read(data: bytes, at: int, end: int) -> Iterator[Message]:
    try:
        yield from _track(data, at, end)
    except IndexError:
        raise BadMidi from None


def _track(data: bytes, at: int, end: int) -> Iterator[Message]:
    tick = status = 0
    while at < end:
        # The wait is read in place: a call an event would cost as much as the rest.
        byte = data[at]
        at += 1
        wait = byte & 0x7F
        while byte > 0x7F:
            byte = data[at]
            at += 1
            wait = wait << 7 | byte & 0x7F
            if wait > LONGEST_WAIT:
                raise BadMidi
        tick += wait
        byte = data[at]
        if byte >= SYSEX:
            at, message = _system(data, at, tick)
            if message:
                yield message
            if byte != META:
                status = 0  # ends the running status
            continue
        if byte > 0x7F:
            status = byte
            at += 1
        elif not status:
            raise BadMidi
        kind = status & 0xF0
        first = data[at]
        at += 1
        second = 0
        if kind != PROGRAM and kind != PRESSURE:
            second = data[at]
            at += 1
        if first > 0x7F or second > 0x7F:
            raise BadMidi("it is damaged: a message holds a number above 127")
        if kind == NOTE_ON:
            yield tick, "note_on", status & 0x0F, first, second
        elif kind == NOTE_OFF:
            yield tick, "note_off", status & 0x0F, first, second
        elif kind == CONTROL:
            yield tick, "control_change", status & 0x0F, first, second
        elif kind == PROGRAM:
            yield tick, "program_change", status & 0x0F, first, 0
    if at != end:
        raise BadMidi


def _system(data: bytes, at: int, tick: int) -> tuple[int, Message | None]:
    """A meta message, system exclusive or live message at `at`: where the next event begins, and what it said."""
    status = data[at]
    if status in LIVE:
        return at + 1 + LIVE[status], None
    if status not in (SYSEX, SYSEX_END, META):
        raise BadMidi
    kind = data[at + 1] if status == META else None
    at += 1 if kind is None else 2
    length, byte = 0, 0x80
    while byte > 0x7F:
        byte = data[at]
        at += 1
        length = length << 7 | byte & 0x7F
        if length > MAX_BYTES:
            raise BadMidi
    start, at = at, at + length
    if at > len(data) or (kind in LENGTHS and length < LENGTHS[kind]):
        raise BadMidi
    if kind == TEMPO:
        return at, (tick, "set_tempo", 0, int.from_bytes(data[start : start + 3], "big"), 0)
    if kind == METRE:
        return at, (tick, "time_signature", 0, data[start], 2 ** data[start + 1])
    if (kind == KEY and not _is_key(data[start], data[start + 1])) or (kind == SMPTE and data[start] > 0x7F):
        raise BadMidi
    return at, None


def _is_key(sharps: int, minor: int) -> bool:
    """`sharps` as it is written, a signed byte."""
    return (sharps <= 7 or sharps >= 249) and minor <= 1
