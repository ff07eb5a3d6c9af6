"""MIDI files as mido reads them: another opinion, for the tests of `improv.midi.smf`."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import partial

import mido

from improv.midi import files, smf

# What mido raises on damaged input.
_DAMAGE = (OSError, EOFError, ValueError, IndexError, KeyError, TypeError, struct.error, mido.KeySignatureError)


class _OtherMeta(mido.midifiles.meta.MetaSpec):  # type: ignore[misc]
    """A meta message that mido does not know. Left to itself, mido forgets how long the wait before it was."""

    attributes = ()
    defaults = ()

    def __init__(self, type_byte: int) -> None:
        self.type_byte, self.type = type_byte, f"other_{type_byte}"

    def decode(self, message: mido.MetaMessage, data: list[int]) -> None:
        """What it says means nothing here."""


for _type in set(range(256)) - set(mido.midifiles.meta._META_SPECS):
    mido.midifiles.meta.add_meta_spec(partial(_OtherMeta, _type))


def read(data: bytes) -> files.Score:
    """The score that `files.read` gives. Raises `smf.BadMidi`."""
    try:
        midi = mido.MidiFile(file=io.BytesIO(data))
    except _DAMAGE as error:
        raise smf.BadMidi from error
    if midi.ticks_per_beat <= 0 or len(data) > smf.MAX_BYTES:
        raise smf.BadMidi
    return files.score_of(midi.ticks_per_beat, [_messages(track) for track in midi.tracks])


def _messages(track: mido.MidiTrack) -> Iterator[smf.Message]:
    tick = 0
    for message in track:
        if message.time > smf.LONGEST_WAIT:
            raise smf.BadMidi
        tick += message.time
        kind = message.type
        if kind in ("note_on", "note_off"):
            yield tick, kind, message.channel, message.note, message.velocity
        elif kind == "control_change":
            yield tick, kind, message.channel, message.control, message.value
        elif kind == "program_change":
            yield tick, kind, message.channel, message.program, 0
        elif kind == "set_tempo":
            yield tick, kind, 0, message.tempo, 0
        elif kind == "time_signature":
            yield tick, kind, 0, message.numerator, message.denominator
