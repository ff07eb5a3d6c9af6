"""What is due, and the book of what sounds. Messages are MIDI bytes; every note-on owns its note-off."""

from __future__ import annotations

import heapq
from itertools import count
from typing import NamedTuple

NOTE_OFF, NOTE_ON, CONTROL = 0x80, 0x90, 0xB0
SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123

MACHINE, THRU = 0, 1  # owners: who made a note sound


class Due(NamedTuple):
    """Ordered by time; at one time note-offs go first, then as they were put."""

    due_ns: int
    rank: int
    number: int
    owner: int
    message: bytes


def is_note_on(message: bytes) -> bool:
    return message[0] & 0xF0 == NOTE_ON and message[2] > 0


def is_note_off(message: bytes) -> bool:
    kind = message[0] & 0xF0
    return kind == NOTE_OFF or (kind == NOTE_ON and message[2] == 0)


class Book:
    """What sounds on each channel and pitch, and who made it sound.

    A note two owners hold ends when the second lets go; nobody ends a note that is not his.
    """

    def __init__(self) -> None:
        self._owners: dict[tuple[int, int], set[int]] = {}
        self._pedals: dict[int, set[int]] = {}  # channel -> owners who hold it down
        self._channels: set[int] = set()

    def enter(self, owner: int, message: bytes) -> list[bytes]:
        """Note what a message does; give what is really to be sent for it."""
        if message[0] >= 0xF0:
            return [message]
        channel = message[0] & 0x0F
        self._channels.add(channel)
        if is_note_on(message):
            owners = self._owners.setdefault((channel, message[1]), set())
            restrike = [bytes((NOTE_OFF | channel, message[1], 0))] if owners else []
            owners.add(owner)
            return [*restrike, message]
        if is_note_off(message):
            return self._end(owner, channel, message)
        if message[0] & 0xF0 == CONTROL and message[1] == SUSTAIN:
            pedals = self._pedals.setdefault(channel, set())
            (pedals.add if message[2] > 0 else pedals.discard)(owner)
        return [message]

    def _end(self, owner: int, channel: int, message: bytes) -> list[bytes]:
        owners = self._owners.get((channel, message[1]))
        if not owners:
            return [message]
        owners.discard(owner)
        if owners:
            return []
        del self._owners[channel, message[1]]
        return [message]

    def release(self, owner: int) -> list[bytes]:
        """Note-offs and pedals up for everything one owner holds."""
        held = sorted(key for key, owners in self._owners.items() if owner in owners)
        sent = [m for channel, pitch in held for m in self.enter(owner, bytes((NOTE_OFF | channel, pitch, 0)))]
        for channel, owners in sorted(self._pedals.items()):
            if owner in owners:
                owners.discard(owner)
                sent.append(bytes((CONTROL | channel, SUSTAIN, 0)))
        return sent

    def silence(self) -> list[bytes]:
        """Everything off: each note by name, then pedals, then the channel messages some synths heed."""
        sent = [m for owner in (MACHINE, THRU) for m in self.release(owner)]
        for channel in sorted(self._channels):
            sent += [bytes((CONTROL | channel, number, 0)) for number in (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF)]
        self._channels.clear()
        return sent

    @property
    def sounding(self) -> set[tuple[int, int]]:
        return set(self._owners)


class Schedule:
    """A queue of what is due, in front of the book."""

    def __init__(self) -> None:
        self.book = Book()
        self._queue: list[Due] = []
        self._number = count()

    def put(self, due_ns: int, owner: int, message: bytes) -> None:
        rank = 0 if is_note_off(message) else 1
        heapq.heappush(self._queue, Due(due_ns, rank, next(self._number), owner, message))

    def deadline(self) -> int | None:
        return self._queue[0].due_ns if self._queue else None

    def pop(self, now: int) -> Due | None:
        """The next event that is due, however late."""
        return heapq.heappop(self._queue) if self._queue and self._queue[0].due_ns <= now else None

    def drop(self, owner: int) -> list[bytes]:
        """Forget what one owner still had to play; give what releases what he sounds."""
        self._queue = [due for due in self._queue if due.owner != owner]
        heapq.heapify(self._queue)
        return self.book.release(owner)

    def silence(self) -> list[bytes]:
        self._queue.clear()
        return self.book.silence()
