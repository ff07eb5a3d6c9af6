"""The notes of an answer as they are to sound: what is planned waits until nothing can come before it."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import NamedTuple

from improv.music.events import NoteOff, NoteOn
from improv.music.timeline import Timeline


class Struck(NamedTuple):
    """Where a note begins, and the tick that was drawn. The first one begins first."""

    position: float
    tick: int


class Sound(NamedTuple):
    """A planned note-on or note-off, in the order in which they sound."""

    position: float
    on: bool
    pitch: int
    velocity: int = 0

    def event(self, line: Timeline) -> NoteOn | NoteOff:
        time_ns = line.time_ns(self.position)
        return NoteOn(time_ns, self.pitch, self.velocity) if self.on else NoteOff(time_ns, self.pitch)


class Sounds:
    """What waits, in order, and where each pitch was struck last. Positions are in ticks."""

    def __init__(self, voices: int) -> None:
        """No more than so many sound together."""
        self._voices = voices
        self.clear()

    def clear(self) -> None:
        self._waiting: list[Sound] = []
        self._struck: dict[int, Struck] = {}

    def strike(self, pitch: int, struck: Struck, velocity: int, sounding: int) -> bool:
        """A note begins, while so many sound that nothing has ended yet; if its pitch sounds already that ends first.

        Gives whether it is heard: struck twice at one place it is one note.
        """
        before, position = self._struck.get(pitch), struck.position
        heard = before is None or position > before.position
        again = [end for end in self._ends if end.pitch == pitch and end.position >= position]
        for end in again:
            self._waiting.remove(end)
        if heard:
            for end in again:
                self._put(end._replace(position=position))
            self._make_room(position, sounding)
            self._put(Sound(position, True, pitch, velocity))
            self._struck[pitch] = struck
        return heard

    def _make_room(self, position: float, sounding: int) -> None:
        """On the grid, notes that were ended may still sound: those beyond the belt end here."""
        later = [end for end in self._ends if end.position > position]
        surplus = sounding + len(later) + 1 - self._voices if later else 0
        begun = [end for end in later if self._struck[end.pitch].position < position]
        for end in begun[: max(0, surplus)]:
            self._waiting.remove(end)
            self._put(end._replace(position=position))

    def release(self, pitch: int, position: float) -> None:
        self._put(Sound(position, False, pitch))

    def struck(self, pitch: int) -> Struck | None:
        """Where it was, the last time."""
        return self._struck.get(pitch)

    def first_struck(self, pitches: Iterable[int]) -> Struck:
        """Of some that sound, the one that began first."""
        return min(self._struck[pitch] for pitch in pitches)

    def strike_was(self, pitch: int, before: Struck | None) -> None:
        """The last time it was struck never was; the time before is the last one again."""
        if before is None:
            self._struck.pop(pitch, None)
        else:
            self._struck[pitch] = before

    def ended_from(self, position: float) -> int:
        """How many were struck at that place and have their end already."""
        return sum(self._struck[end.pitch].position == position for end in self._ends)

    def drop(self, position: float) -> None:
        """What waits for a later place never was."""
        self._waiting = [sound for sound in self._waiting if sound.position <= position]

    def drop_pitch(self, pitch: int) -> None:
        self._waiting = [sound for sound in self._waiting if sound.pitch != pitch]

    def ripe(self, until: float) -> list[Sound]:
        """What can sound no sooner than it waits for, if all to come is later than that: it waits no longer."""
        ripe = [sound for sound in self._waiting if sound.position <= until]
        self._waiting = self._waiting[len(ripe) :]
        return ripe

    @property
    def _ends(self) -> list[Sound]:
        """In order."""
        return [sound for sound in self._waiting if not sound.on]

    def _put(self, sound: Sound) -> None:
        bisect.insort(self._waiting, sound)
