"""Ends whatever may sound on a port, whoever began it: a burst at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable

from improv.music.schedule import ALL_NOTES_OFF, ALL_SOUND_OFF, CONTROL, NOTE_OFF, SUSTAIN

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
        self._left: deque[bytes] = deque()
        self._due_ns = 0

    def begin(self, time_ns: int, messages: Iterable[bytes]) -> None:
        """From the first on, also where it was under way."""
        self._left, self._due_ns = deque(messages), time_ns

    def deadline(self) -> int | None:
        return self._due_ns if self._left else None

    def pop(self, time_ns: int, sounding: Container[tuple[int, int]]) -> list[bytes]:
        """The burst that is due, without the notes (channel from 0, and pitch) that began meanwhile."""
        self._due_ns = time_ns + BURST_NS
        burst = [self._left.popleft() for _ in range(min(BURST // 2, len(self._left)))]
        return [m for m in burst if m[0] & 0xF0 != NOTE_OFF or (m[0] & 0x0F, m[1]) not in sounding]

    def flush(self) -> list[bytes]:
        """All that is left."""
        left = list(self._left)
        self._left.clear()
        return left
