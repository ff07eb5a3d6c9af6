"""What is due, and the book of what sounds. Messages are MIDI bytes; every note-on owns its note-off."""

from __future__ import annotations

import math
from bisect import insort
from itertools import count
from typing import NamedTuple

from improv.music.events import Late
from improv.music.timeline import ROUNDING, TICKS_PER_BEAT, Timeline

NOTE_OFF, NOTE_ON, CONTROL, SYSTEM = 0x80, 0x90, 0xB0, 0xF0  # the last: from here on a message has no channel
SUSTAIN, ALL_SOUND_OFF, ALL_NOTES_OFF = 64, 120, 123
HALF = 64  # of a pedal's way: from here on it is down

OWNERS = MACHINE, THRU, CLICK, YIELDING = range(4)  # who made a note sound; the last: the machine, before it gave way

SENT_LATE_NS = 20_000_000  # a note that is later than this moves the rest of the answer,
GIVEN_UP_NS = 250_000_000  # and one later than this ends it
CHORD_TICKS = 1.5  # onsets this close are one chord
NOWHERE = 0.0, 0.0

Note = tuple[int, int, int]  # owner, channel and pitch

ENDS, BEGINS, ENDS_AT_ONCE = range(3)  # in this order at one time; the last: a note that ends as it begins


class Due(NamedTuple):
    """Ordered by time; at one time note-offs go first, then as they were put. `place` is where it was planned, in
    ticks, however late it is.
    """

    due_ns: int
    rank: int
    number: int
    owner: int
    message: bytes
    place: float

    @property
    def note(self) -> Note:
        return _note(self.owner, self.message)


def is_note_on(message: bytes) -> bool:
    return message[0] & 0xF0 == NOTE_ON and message[2] > 0


def is_note_off(message: bytes) -> bool:
    kind = message[0] & 0xF0
    return kind == NOTE_OFF or (kind == NOTE_ON and message[2] == 0)


def is_pedal(message: bytes) -> bool:
    return message[0] & 0xF0 == CONTROL and message[1] == SUSTAIN


def is_all_off(message: bytes) -> bool:
    """Whether it ends every note of its channel, at once or as far as the pedal lets it."""
    return message[0] & 0xF0 == CONTROL and message[1] in (ALL_SOUND_OFF, ALL_NOTES_OFF)


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
        if message[0] >= SYSTEM:
            return [message]
        channel = message[0] & 0x0F
        self._channels.add(channel)
        if is_note_on(message):
            owners = self._owners.setdefault((channel, message[1]), set())
            restrike = [_off(channel, message[1])] if owners else []
            owners.discard(YIELDING)  # by this it has ended
            owners.add(owner)
            return [*restrike, message]
        if is_note_off(message):
            return self._end(owner, channel, message)
        if is_all_off(message):
            mine = sorted(key for key, owners in self._owners.items() if key[0] == channel and owner in owners)
            return [*(off for _, pitch in mine for off in self._end(owner, channel, _off(channel, pitch))), message]
        if is_pedal(message):
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

    def hand_on(self, owner: int, heir: int) -> list[tuple[int, int]]:
        """Give what one owner holds alone to another: channels and pitches."""
        alone = sorted(key for key, owners in self._owners.items() if owners == {owner})
        self._owners.update((key, {heir}) for key in alone)
        return alone

    def release(self, owner: int) -> list[bytes]:
        """Note-offs and pedals up for everything one owner holds."""
        held = sorted(key for key, owners in self._owners.items() if owner in owners)
        sent = [m for channel, pitch in held for m in self.enter(owner, _off(channel, pitch))]
        for channel, owners in sorted(self._pedals.items()):
            if owner in owners:
                owners.discard(owner)
                sent.append(bytes((CONTROL | channel, SUSTAIN, 0)))
        return sent

    def silence(self) -> list[bytes]:
        """Everything off: each note by name, then pedals, then the channel messages some synths heed."""
        sent = [m for owner in OWNERS for m in self.release(owner)]
        for channel in sorted(self._channels):
            sent += [bytes((CONTROL | channel, number, 0)) for number in (SUSTAIN, ALL_NOTES_OFF, ALL_SOUND_OFF)]
        self._channels.clear()
        return sent

    @property
    def sounding(self) -> set[tuple[int, int]]:
        return set(self._owners)


class Schedule:
    """A queue of what is due, in front of the book.

    What the machine plays keeps its beat when the timeline changes. When it is late the rest of its
    answer moves, so that no note is cut short and no chord is torn: under a clock by whole steps of the grid.
    """

    def __init__(self, grid_ticks: int = TICKS_PER_BEAT // 4) -> None:
        self.book = Book()
        self._grid_ticks = grid_ticks
        self._line = Timeline()
        self._queue: list[Due] = []  # in order; half a second of music is short
        self._passed = NOWHERE  # from where to where the beat was moved on last, in ticks
        self._number = count()
        self.begin_turn(0)

    def begin_turn(self, turn_ns: int) -> None:
        """A new answer of the machine's, decided at that moment: it is on time."""
        self._turn_ns = turn_ns
        self._lag_ticks = 0.0
        self._lag_of: dict[Note, float] = {}  # of each note that began: its end is as much later
        self._begun_at: dict[Note, float] = {}  # where each was planned to begin
        self._given_up = False

    def put(self, due_ns: int, owner: int, message: bytes) -> None:
        note, rank = _note(owner, message), BEGINS
        on, place = is_note_on(message), self._line.position(due_ns)
        if owner == MACHINE:
            if on:
                if self._given_up:
                    return
                self._lag_of[note] = self._lag_ticks
            due_ns = self._later(due_ns, self._lag_of.get(note, 0.0))
        if on:
            self._end_before(due_ns, note)
        elif is_note_off(message):
            due_ns, rank = self._after_its_begin(due_ns, note)
        due = Due(due_ns, rank, next(self._number), owner, message, place)
        if not self._is_passed(due):
            insort(self._queue, due)

    def _later(self, due_ns: int, ticks: float) -> int:
        return self._line.time_ns(self._line.position(due_ns) + ticks) if ticks else due_ns

    def _end_before(self, due_ns: int, note: Note) -> None:
        """A note that is struck again has ended by then: its own end must not end the new one."""
        if any(_ends(due, note) and (due.due_ns, due.rank) > (due_ns, BEGINS) for due in self._queue):
            self._queue = sorted(
                due._replace(due_ns=min(due.due_ns, due_ns), rank=ENDS) if _ends(due, note) else due
                for due in self._queue
            )

    def _after_its_begin(self, due_ns: int, note: Note) -> tuple[int, int]:
        """Where a note may end that is still to begin: not before."""
        begins_ns = max((due.due_ns for due in self._queue if _begins(due, note)), default=None)
        return (due_ns, ENDS) if begins_ns is None or due_ns > begins_ns else (begins_ns, ENDS_AT_ONCE)

    def deadline(self) -> int | None:
        return self._queue[0].due_ns if self._queue else None

    def pop(self, now: int) -> Due | None:
        """The next event that is due, however late."""
        if not self._queue or self._queue[0].due_ns > now:
            return None
        due = self._queue.pop(0)
        if is_note_on(due.message):
            self._begun_at[due.note] = due.place
        elif is_note_off(due.message):
            self._begun_at.pop(due.note, None)
        return due

    def retime(self, line: Timeline, jump: bool, now: int) -> None:
        """Beats are counted anew: what the machine still has to play keeps its beat. Where the beat is moved on, what
        would begin in between is left out: nobody was late with it.
        """
        old, self._line = self._line, line if line.metric else Timeline()
        if jump or not (old.metric and line.metric):
            self._passed = NOWHERE
            return
        sent_late = line.ticks(SENT_LATE_NS)
        from_, to = old.position(now) - sent_late, line.position(now) - sent_late
        if to - from_ > sent_late:
            self._passed = from_, to
        moved = [
            due._replace(due_ns=line.time_ns(old.position(due.due_ns))) if due.owner == MACHINE else due
            for due in self._queue
        ]
        self._queue = sorted(due for due in moved if not self._is_passed(due))

    def _is_passed(self, due: Due) -> bool:
        """Whether it is a note-on of the machine's that the beat was moved past."""
        from_, to = self._passed
        return due.owner == MACHINE and is_note_on(due.message) and from_ <= self._line.position(due.due_ns) < to

    def catch_up(self, now: int) -> Late | None:
        """What is done about the machine's next note-on if it is late; None: nothing, it is sent."""
        head = self._queue[0] if self._queue else None
        if head is None or head.owner != MACHINE or not is_note_on(head.message) or now - head.due_ns <= SENT_LATE_NS:
            return None
        late_ns = now - head.due_ns
        if late_ns > GIVEN_UP_NS:
            self._given_up = True
            return Late(now, self._turn_ns, late_ns, 0, 0, ended=True)
        ticks = self._line.position(now) - self._line.position(head.due_ns)
        if self._line.metric:
            ticks = math.ceil(ticks / self._grid_ticks) * self._grid_ticks
        self._shift(ticks)
        shift_ns = self._later(head.due_ns, ticks) - head.due_ns
        return Late(now, self._turn_ns, late_ns, shift_ns, self._thin(), ended=False)

    def _shift(self, ticks: float) -> None:
        """Move what has not begun; what sounds ends when it was to end."""
        self._lag_ticks += ticks
        begun: set[Note] = set()
        for place, due in enumerate(self._queue):
            if due.owner != MACHINE:
                continue
            if is_note_on(due.message):
                begun.add(due.note)
                self._lag_of[due.note] = self._lag_ticks
            if due.note in begun:
                self._queue[place] = due._replace(due_ns=self._later(due.due_ns, ticks))
        self._queue.sort()

    def _thin(self) -> int:
        """Leave out the inner notes of the chords ahead; gives how many."""
        apart_ns = self._line.time_ns(CHORD_TICKS) - self._line.time_ns(0)
        chords: list[list[Due]] = []
        for due in self._queue:
            if due.owner == MACHINE and is_note_on(due.message):
                if not chords or due.due_ns - chords[-1][0].due_ns > apart_ns:
                    chords.append([])
                chords[-1].append(due)
        inner = {due.number for chord in chords for due in sorted(chord, key=lambda due: due.message[1])[1:-1]}
        self._queue = [due for due in self._queue if due.number not in inner]
        return len(inner)

    def drop(self, owner: int) -> list[bytes]:
        """Forget what one owner still had to play; give what releases what he sounds."""
        self._queue = [due for due in self._queue if due.owner != owner]
        return self.book.release(owner)

    def give_way(self, by_ns: int) -> list[bytes]:
        """Forget what the machine still had to play. What it sounds ends when it was to end, or then if that is sooner;
        what another holds as well is his at once. Gives what ends at once.
        """
        ends_ns = {due.note: due.due_ns for due in reversed(self._queue) if is_note_off(due.message)}  # the next
        self._queue = [due for due in self._queue if due.owner != MACHINE]
        for channel, pitch in self.book.hand_on(MACHINE, YIELDING):
            due_ns = min(by_ns, ends_ns.get((MACHINE, channel, pitch), by_ns))
            insort(self._queue, Due(due_ns, ENDS, next(self._number), YIELDING, _off(channel, pitch), 0.0))
        return self.book.release(MACHINE)

    def revise(self, from_ns: int) -> list[bytes]:
        """Forget what the machine had planned for after that moment; give what ends what began all the same. What else
        sounds ends when it is told to. Places are compared, for times depend on the tempo and on how late it is.
        """
        from_ = self._line.position(from_ns) + ROUNDING
        self._queue = [due for due in self._queue if due.owner != MACHINE or due.place <= from_]
        begun = [note for note, position in self._begun_at.items() if note[0] == MACHINE and position > from_]
        ends = [(owner, bytes((NOTE_OFF | channel, pitch, 0))) for owner, channel, pitch in begun]
        return [message for owner, end in ends for message in self.book.enter(owner, end)]

    def silence(self) -> list[bytes]:
        self._queue.clear()
        return self.book.silence()


def _off(channel: int, pitch: int) -> bytes:
    return bytes((NOTE_OFF | channel, pitch, 0))


def _note(owner: int, message: bytes) -> Note:
    return owner, message[0] & 0x0F, message[1]


def _begins(due: Due, note: Note) -> bool:
    return due.note == note and is_note_on(due.message)


def _ends(due: Due, note: Note) -> bool:
    return due.note == note and is_note_off(due.message)
