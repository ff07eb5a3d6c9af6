"""Ends whatever may sound on a port, whoever began it: a burst at a time."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from improv.music.schedule import ALL_NOTES_OFF, ALL_SOUND_OFF, CONTROL, NOTE_OFF, SUSTAIN, is_note_on

CHANNELS = range(16)
PITCHES = range(128)
BURST, BURST_NS = 16, 2_000_000  # a slow receiver loses messages of a longer burst (seen over JACK at 64 frames)


def everything_off() -> list[bytes]:
    """On all channels: pedals up, the messages that some synthesisers heed, then each note by name."""
    controls = (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF)
    messages = [bytes((CONTROL | channel, number, 0)) for number in controls for channel in CHANNELS]
    return messages + [bytes((NOTE_OFF | channel, pitch, 0)) for pitch in PITCHES for channel in CHANNELS]


class Sweep:
    """All of this, spread over half a second in which others may play: it takes half of what a receiver can."""

    def __init__(self) -> None:
        self._left: dict[bytes, None] = {}  # in order
        self._due_ns = 0

    def begin(self, time_ns: int, messages: Iterable[bytes]) -> None:
        """From the first on, also where it was under way."""
        self._left, self._due_ns = dict.fromkeys(messages), time_ns

    def deadline(self) -> int | None:
        return self._due_ns if self._left else None

    def pop(self, time_ns: int) -> list[bytes]:
        """The burst that is due."""
        self._due_ns = time_ns + BURST_NS
        return self._take(list(islice(self._left, BURST // 2)))

    def before(self, message: bytes) -> list[bytes]:
        """What is to be sent before a message: a note that begins ends the one of before, and no sweep then ends it."""
        if not self._left or not is_note_on(message):
            return []
        end = bytes((NOTE_OFF | message[0] & 0x0F, message[1], 0))
        return self._take([end] if end in self._left else [])

    def flush(self) -> list[bytes]:
        """All that is left."""
        return self._take(list(self._left))

    def _take(self, messages: list[bytes]) -> list[bytes]:
        for message in messages:
            del self._left[message]
        return messages
