"""MIDI files read fast: what `midi/files` makes of them, without mido's object a message.

Only files in good order are read here. Whatever is out of the ordinary goes to mido, so that there is one judge
of what is damaged; only a data byte above 127, which mido clips, is refused: a note is never guessed.
"""

from __future__ import annotations

import struct

from improv.midi import files

HEADER = struct.Struct(">4sL3h")  # name, length, format, tracks, ticks a beat
CHUNK = struct.Struct(">4sL")
LONGEST = 1_000_000  # bytes of a system exclusive or a text; mido takes no more
NOTE_OFF, NOTE_ON, CONTROL, PROGRAM, PRESSURE, SYSEX, SYSEX_END, META = 0x80, 0x90, 0xB0, 0xC0, 0xD0, 0xF0, 0xF7, 0xFF
SEQUENCE, PREFIX, PORT, TEMPO, SMPTE, METRE, KEY = 0x00, 0x20, 0x21, 0x51, 0x54, 0x58, 0x59
LENGTHS = {SEQUENCE: 2, PREFIX: 1, PORT: 1, TEMPO: 3, SMPTE: 5, METRE: 4, KEY: 2}  # of meta messages, by type


class _Unusual(Exception):
    """Not for this reader to judge."""


def read(data: bytes) -> files.Score:
    """The score that `files.read` gives. Raises `files.BadMidi`."""
    try:
        ppqn, tracks = messages(data)
    except (_Unusual, IndexError, struct.error):
        return files.read(data)
    return files.score_of(ppqn, tracks)


def messages(data: bytes) -> tuple[int, list[list[files.Message]]]:
    """Ticks a beat, and the messages of each track."""
    name, length, _, count, ppqn = HEADER.unpack_from(data)
    if (name, length) != (b"MThd", 6) or ppqn <= 0 or len(data) > files.MAX_BYTES:
        raise _Unusual
    at = HEADER.size
    tracks = []
    for _ in range(count):
        name, length = CHUNK.unpack_from(data, at)
        at += CHUNK.size
        if name != b"MTrk" or at + length > len(data):
            raise _Unusual
        tracks.append(_track(data, at, at + length))
        at += length
    return ppqn, tracks


def _track(data: bytes, at: int, end: int) -> list[files.Message]:
    found: list[files.Message] = []
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
        if wait > files.LONGEST_WAIT:
            raise _Unusual
        tick += wait
        byte = data[at]
        if byte >= SYSEX:
            at, message = _system(data, at, tick)
            if message:
                found.append(message)
            if byte != META:
                status = 0  # ends the running status
            continue
        if byte > 0x7F:
            status = byte
            at += 1
        elif not status:
            raise _Unusual
        kind = status & 0xF0
        first = data[at]
        at += 1
        second = 0
        if kind != PROGRAM and kind != PRESSURE:
            second = data[at]
            at += 1
        if first > 0x7F or second > 0x7F:
            raise files.BadMidi("it is damaged: a message holds a number above 127")
        if kind == NOTE_ON:
            found.append((tick, "note_on", status & 0x0F, first, second))
        elif kind == NOTE_OFF:
            found.append((tick, "note_off", status & 0x0F, first, second))
        elif kind == CONTROL:
            found.append((tick, "control_change", status & 0x0F, first, second))
        elif kind == PROGRAM:
            found.append((tick, "program_change", status & 0x0F, first, 0))
    if at != end:
        raise _Unusual
    return found


def _system(data: bytes, at: int, tick: int) -> tuple[int, files.Message | None]:
    """A meta message or system exclusive at `at`: where the next event begins, and what it said."""
    status = data[at]
    if status not in (SYSEX, SYSEX_END, META):
        raise _Unusual
    kind = data[at + 1] if status == META else None
    at += 1 if kind is None else 2
    length, byte = 0, 0x80
    while byte > 0x7F:
        byte = data[at]
        at += 1
        length = length << 7 | byte & 0x7F
    start, at = at, at + length
    if length > LONGEST or at > len(data) or length != LENGTHS.get(kind, length):
        raise _Unusual
    if kind == TEMPO:
        return at, (tick, "set_tempo", 0, int.from_bytes(data[start:at], "big"), 0)
    if kind == METRE:
        return at, (tick, "time_signature", 0, data[start], 2 ** data[start + 1])
    if (kind == KEY and not _is_key(data[start], data[start + 1])) or (kind == SMPTE and data[start] > 0x7F):
        raise _Unusual
    return at, None


def _is_key(sharps: int, minor: int) -> bool:
    """`sharps` as it is written, a signed byte."""
    return (sharps <= 7 or sharps >= 249) and minor <= 1
