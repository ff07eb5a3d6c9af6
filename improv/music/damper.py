"""Keys and sustain pedal in, sounding notes out."""

from __future__ import annotations

from improv.music.events import NoteOff, NoteOn, Pedal

Sounding = NoteOn | NoteOff


class Damper:
    """Follows which strings ring: a note ends when key *and* pedal are up, or when it is restruck.

    What is down when the turn changes hands stays down, but is waived: it holds nothing any more
    until it moves again.
    """

    def __init__(self) -> None:
        self._keys: set[int] = set()
        self._pedal = False
        self._ringing: set[int] = set()
        self._waived_keys: set[int] = set()
        self._waived_pedal = False

    @property
    def held(self) -> bool:
        """Whether a key or the pedal is down and not waived."""
        return (self._pedal and not self._waived_pedal) or bool(self._keys - self._waived_keys)

    @property
    def voices(self) -> int:
        """How many strings ring."""
        return len(self._ringing)

    def moves(self, event: NoteOn | NoteOff | Pedal) -> bool:
        """Whether a key or the pedal really moves: a noisy pedal says a lot that is no news."""
        if isinstance(event, NoteOn):
            return True
        return event.pitch in self._keys if isinstance(event, NoteOff) else event.down != self._pedal

    def hear(self, event: NoteOn | NoteOff | Pedal) -> list[Sounding]:
        if isinstance(event, NoteOn):
            restruck: list[Sounding] = [NoteOff(event.time_ns, event.pitch)] if event.pitch in self._ringing else []
            self._keys.add(event.pitch)
            self._waived_keys.discard(event.pitch)
            self._ringing.add(event.pitch)
            return [*restruck, event]
        if isinstance(event, NoteOff):
            self._keys.discard(event.pitch)
            self._waived_keys.discard(event.pitch)
        else:
            self._pedal, self._waived_pedal = event.down, False
        return [] if self._pedal else self._end(event.time_ns, self._ringing - self._keys)

    def waive(self, time_ns: int) -> list[Sounding]:
        """End all that rings; what is down holds nothing any more."""
        self._waived_keys, self._waived_pedal = set(self._keys), self._pedal
        return self.damp(time_ns)

    def damp(self, time_ns: int) -> list[Sounding]:
        """End all that rings; what is down still holds the turn."""
        return self._end(time_ns, self._ringing)

    def lift(self, time_ns: int) -> list[Sounding]:
        """Every key and the pedal come up."""
        self._keys.clear()
        self._pedal = False
        return self.waive(time_ns)

    def _end(self, time_ns: int, pitches: set[int]) -> list[Sounding]:
        ended = sorted(pitches)
        self._ringing -= pitches
        return [NoteOff(time_ns, pitch) for pitch in ended]
