"""MIDI messages as bytes: what a heard one means, and how a played one is spelled.

Channels count from 1, as musicians do; on the wire they count from 0.
"""

from __future__ import annotations

from collections.abc import Callable

from improv.music import pulse
from improv.music.events import Clock, Continue, InputLost, NoteOff, NoteOn, Pedal, SongPosition, Start, Stop, Tick
from improv.music.schedule import ALL_SOUND_OFF, CONTROL, HALF, NOTE_OFF, NOTE_ON, SUSTAIN, SYSTEM

PROGRAM, PRESSURE = 0xC0, 0xD0  # the channel messages of two bytes
DRUMS = 10


def channel(message: bytes) -> int:
    return (message[0] & 0x0F) + 1


def on_channel(message: bytes, number: int) -> bytes:
    return bytes((message[0] & 0xF0 | number - 1,)) + message[1:]


def is_channel_message(message: bytes) -> bool:
    """Whether it is a whole one. Not every driver and program sends such alone."""
    if not message or not NOTE_OFF <= message[0] < SYSTEM:
        return False
    length = 2 if message[0] & 0xF0 in (PROGRAM, PRESSURE) else 3
    return len(message) == length and _is_data(message[1:])


def _is_data(data: bytes) -> bool:
    return all(byte < 0x80 for byte in data)


def meaning(message: bytes, time_ns: int) -> NoteOn | NoteOff | Pedal | InputLost | None:
    """What a message by itself says to the engine; None: nothing. A note-on of velocity 0 is a note-off."""
    if len(message) != 3:
        return None
    kind, first, second = message[0] & 0xF0, message[1], message[2]
    if kind == NOTE_ON and second > 0:
        return NoteOn(time_ns, first, second)
    if kind in (NOTE_ON, NOTE_OFF):
        return NoteOff(time_ns, first)
    if kind == CONTROL and first == SUSTAIN:
        return Pedal(time_ns, second >= HALF)
    if kind == CONTROL and first == ALL_SOUND_OFF:
        return InputLost(time_ns)
    return None


_CLOCK: dict[int, Callable[[int], Clock]] = {
    pulse.TICK: Tick,
    pulse.START: Start,
    pulse.CONTINUE: Continue,
    pulse.STOP: Stop,
}


def clock(message: bytes, time_ns: int) -> Clock | None:
    """What a message says about the master's beat; None: nothing."""
    if message[0] == pulse.SONG_POSITION and len(message) == 3 and _is_data(message[1:]):
        return SongPosition(time_ns, message[1] | message[2] << 7)
    kind = _CLOCK.get(message[0])
    return None if kind is None else kind(time_ns)


def spell(event: NoteOn | NoteOff | Pedal, number: int) -> bytes:
    """The message of an event on channel `number`."""
    if isinstance(event, NoteOn):
        return bytes((NOTE_ON | number - 1, event.pitch, event.velocity))
    if isinstance(event, NoteOff):
        return bytes((NOTE_OFF | number - 1, event.pitch, 0))
    return bytes((CONTROL | number - 1, SUSTAIN, 127 * event.down))
