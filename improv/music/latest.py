"""Controllers, pressure and bend, no faster than they are of use: the latest value wins, and always arrives."""

from __future__ import annotations

from improv.music.bucket import Bucket
from improv.music.schedule import CONTROL, SUSTAIN

AT_ONCE, PER_S = 64, 500
POLY_PRESSURE, PRESSURE, BEND = 0xA0, 0xD0, 0xE0
BANK, DATA = {0, 32}, {6, 38, *range(96, 102)}  # parts of a whole, which mean nothing alone or in another order
PREFIX = 88  # what the next velocity is, more finely
FIRST_MODE = 120  # all off, local control, modes


def is_continuous(message: bytes) -> bool:
    """Whether a later message of the kind makes this one worthless."""
    if message[0] & 0xF0 == CONTROL:
        return message[1] < FIRST_MODE and message[1] not in {SUSTAIN, PREFIX, *BANK, *DATA}
    return message[0] & 0xF0 in (POLY_PRESSURE, PRESSURE, BEND)


class Latest:
    """Values that wait for their turn, the newest of each controller."""

    def __init__(self) -> None:
        self._bucket = Bucket(AT_ONCE, PER_S)
        self._waiting: dict[bytes, bytes] = {}
        self.skipped = 0  # values whose place a later one took

    def put(self, time_ns: int, message: bytes) -> list[bytes]:
        """Take a continuous message; give what is to be sent now."""
        if not self._waiting and self._bucket.take(time_ns):
            return [message]
        what = message[:2] if message[0] & 0xF0 in (CONTROL, POLY_PRESSURE) else message[:1]
        self.skipped += what in self._waiting
        self._waiting[what] = message
        return []

    def deadline(self) -> int | None:
        return self._bucket.ready_ns() if self._waiting else None

    def pop(self, time_ns: int) -> list[bytes]:
        """What may be sent by now, in the order in which the controllers began to wait."""
        ready: list[bytes] = []
        while self._waiting and self._bucket.take(time_ns):
            ready.append(self._waiting.pop(next(iter(self._waiting))))
        return ready

    def flush(self) -> list[bytes]:
        """All that waits."""
        waiting = list(self._waiting.values())
        self._waiting.clear()
        return waiting
